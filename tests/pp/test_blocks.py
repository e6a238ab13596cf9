"""Preparing in blocks of cells: the values of preparing at once, and hardly any memory beside them."""

import tracemalloc
from pathlib import Path

import anndata as ad
import mudata
import numpy as np
import pytest
from scipy import sparse

import scmoe
from scmoe import _matrix
from scmoe.io._mapped import folder_of
from scmoe.io._quiet import quiet_mudata
from scmoe.pp._normalize import clr, log_normalize, totals


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_matrix, "BLOCK", 5000)


def _counts(n_cells: int, n_genes: int, dtype: type = np.float32) -> sparse.csr_matrix:
    rng = np.random.default_rng(0)
    counts = rng.poisson(rng.gamma(0.3, 1, n_genes), (n_cells, n_genes)).astype(dtype)
    counts[3] = 0
    return sparse.csr_matrix(counts)


@pytest.mark.parametrize("dtype", [np.float32, np.int64])
@pytest.mark.parametrize("convert", [sparse.csr_matrix, sparse.csr_array, sparse.csr_matrix.toarray])
def test_normalized_values_are_those_of_all_cells_at_once(dtype: type, convert) -> None:
    counts, over = _counts(300, 200, dtype), np.arange(200) % 3 > 0
    total = counts.astype(float) @ over
    reference = counts.toarray() * np.divide(1e4, total, out=np.zeros(300), where=total > 0)[:, None]
    result = log_normalize(convert(counts), over)
    np.testing.assert_array_equal(totals(convert(counts), over), total)
    dense = result.toarray() if sparse.issparse(result) else result
    np.testing.assert_array_equal(dense, np.log1p(reference).astype(np.float32))


def test_centered_values_are_those_of_all_cells_at_once() -> None:
    counts, over = _counts(300, 50), np.arange(50) % 3 > 0
    missing = np.random.default_rng(1).random((300, 50)) < 0.2
    logarithm = np.where(missing, np.nan, np.log1p(counts.toarray().astype(float)))
    reference = logarithm - np.nanmean(np.where(over, logarithm, np.nan), axis=1, keepdims=True)
    result = clr(counts, over, lambda rows: missing[rows])
    np.testing.assert_allclose(result, reference, atol=1e-6)


@pytest.mark.parametrize("n_top", [None, 100])
def test_preparing_takes_what_it_writes(n_top: int | None) -> None:
    counts = _counts(4000, 1000)
    size = counts.data.nbytes + counts.indices.nbytes + counts.indptr.nbytes
    adata = ad.AnnData(counts)
    tracemalloc.start()
    try:
        scmoe.pp.prepare(adata, n_top_features=n_top)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert size > 4e6  # far more than a block
    assert peak < 1.3 * size  # of which 1 is the result


@pytest.fixture
def path(tmp_path: Path) -> Path:
    counts = _counts(4000, 1000)
    adt = np.random.default_rng(2).poisson(5, (4000, 30)).astype(np.float32)
    adt[:1000, :3] = 0  # not measured in a batch
    with quiet_mudata():
        mdata = mudata.MuData({"rna": ad.AnnData(counts), "adt": ad.AnnData(adt)})
    mdata.obs["batch"] = np.repeat(["a", "b", "c", "d"], 1000)
    scmoe.datasets.write(mdata, tmp_path / "m.h5mu")
    return tmp_path / "m.h5mu"


def test_values_of_data_on_disk_are_on_disk(path: Path) -> None:
    memory, disk = scmoe.datasets.read(path), scmoe.datasets.read(path, on_disk=True)
    scmoe.pp.prepare(memory, n_top_features=100)
    tracemalloc.start()
    try:
        scmoe.pp.prepare(disk, n_top_features=100)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 0.4 * memory["rna"].X.data.nbytes
    assert disk.uns["scmoe"].keys() == memory.uns["scmoe"].keys() == {"prepare", "missing"}
    for name, adata in memory.mod.items():
        for found, expected in ((disk[name].X, adata.X), (disk[name].layers["counts"], adata.layers["counts"])):
            assert folder_of(found) is not None
            found, expected = (m.toarray() if sparse.issparse(m) else np.asarray(m) for m in (found, expected))
            np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(disk["rna"].var["highly_variable"], memory["rna"].var["highly_variable"])


def test_a_copy_would_load_the_data(path: Path) -> None:
    disk = scmoe.datasets.read(path, on_disk=True)
    for data in (disk, disk["rna"]):
        with pytest.raises(ValueError, match="copy=True would load"):
            scmoe.pp.prepare(data, copy=True)
