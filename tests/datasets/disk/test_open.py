"""Data on disk have the values that data in memory have, and stay on disk."""

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import anndata as ad
import h5py
import mudata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import scmoe
from scmoe.datasets.disk import _cache, _stored
from scmoe.io._files import WriteError
from scmoe.io._lock import sole_run
from scmoe.io._mapped import folder_of
from scmoe.io._quiet import quiet_mudata

FILES = Path(__file__).parents[2] / "data" / "files"
FORMS = {"csr": sparse.csr_matrix, "csc": sparse.csc_matrix, "dense": np.asarray}


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_stored, "ENTRIES", 50)
    monkeypatch.setattr(_stored, "MAX_BUCKETS", 3)


def _counts(shape: tuple[int, int], seed: int = 0, density: float = 0.3) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.poisson(3, shape) * (rng.random(shape) < density)).astype(np.float32)


def _adata(form: str, dtype: type, n_features: int = 12) -> ad.AnnData:
    values = _counts((40, n_features)).astype(dtype)
    adata = ad.AnnData(FORMS[form](values))
    adata.layers["other"] = FORMS[form](_counts(values.shape, 1).astype(dtype))
    adata.raw = ad.AnnData(FORMS[form](_counts((40, n_features + 3), 2).astype(dtype)))
    adata.obsm["X_pca"] = values[:, :2].astype(np.float32)
    adata.var_names = [f"g{i}" for i in range(n_features)]
    adata.raw.var["x"] = 1
    return adata


def _dense(matrix: object) -> np.ndarray:
    return matrix.toarray() if sparse.issparse(matrix) else np.asarray(matrix)


def _check_same(path: Path, **kwargs: object) -> mudata.MuData:
    """Read a file both ways, and compare."""
    memory, disk = scmoe.datasets.read(path, **kwargs), scmoe.datasets.read(path, on_disk=True, **kwargs)
    assert list(disk.mod) == list(memory.mod)
    pd.testing.assert_frame_equal(disk.obs, memory.obs)
    pd.testing.assert_frame_equal(disk.var, memory.var)
    for name, expected in memory.mod.items():
        found = disk.mod[name]
        pd.testing.assert_frame_equal(found.obs, expected.obs)
        pd.testing.assert_frame_equal(found.var, expected.var)
        assert list(found.obsm) == list(expected.obsm)
        pairs = [(found.X, expected.X)]
        pairs += [(found.layers[key], expected.layers[key]) for key in expected.layers if key is not None]
        if expected.raw is not None:
            pd.testing.assert_frame_equal(found.raw.var, expected.raw.var)
            pairs.append((found.raw.X, expected.raw.X))
        assert len(found.layers) == len(expected.layers)
        for one, other in pairs:
            assert folder_of(one) is not None or 0 in one.shape
            assert one.dtype == other.dtype
            np.testing.assert_array_equal(_dense(one), _dense(other))
            assert 0 in one.shape or not (one.data if sparse.issparse(one) else one).flags.writeable
    return disk


@pytest.mark.parametrize("suffix", [".h5ad", ".zarr"])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", [np.float32, np.int64, np.uint8, bool])
def test_an_anndata(tmp_path: Path, suffix: str, form: str, dtype: type) -> None:
    scmoe.datasets.write(_adata(form, dtype), tmp_path / f"a{suffix}")
    disk = _check_same(tmp_path / f"a{suffix}", modality="adt")
    assert sparse.issparse(disk["adt"].X)  # most values are zero


@pytest.mark.parametrize("suffix", [".h5mu", ".zarr"])
def test_a_mudata_whose_cells_lack_modalities(tmp_path: Path, suffix: str) -> None:
    with quiet_mudata():
        mdata = mudata.MuData(
            {"rna": _adata("csc", np.float32)[:30].copy(), "adt": _adata("dense", np.float32, 5)[9:].copy()}
        )
    scmoe.datasets.write(mdata, tmp_path / f"m{suffix}")
    _check_same(tmp_path / f"m{suffix}")


def test_features_of_several_types_are_divided(tmp_path: Path) -> None:
    adata = _adata("csr", np.float32)
    adata.var["feature_types"] = ["Gene Expression", "Antibody Capture", "Gene Expression"] * 4
    adata.write_h5ad(tmp_path / "a.h5ad")
    assert list(_check_same(tmp_path / "a.h5ad").mod) == ["rna", "adt"]


def test_counts_of_10x(tmp_path: Path) -> None:
    counts = sparse.csr_matrix(_counts((40, 6)).astype(np.int32))
    with h5py.File(tmp_path / "c.h5", "w") as file:
        group = file.create_group("matrix")
        group["data"], group["indices"], group["indptr"] = counts.data, counts.indices, counts.indptr
        group["shape"] = np.array(counts.shape[::-1])
        group["barcodes"] = np.array([f"c{i}" for i in range(40)], "S4")
        features = group.create_group("features")
        names = np.array([f"g{i}" for i in range(6)], "S4")
        features["id"], features["name"] = names, names
        features["feature_type"] = np.array(["Gene Expression"] * 4 + ["Antibody Capture"] * 2, "S20")
        features["genome"] = np.array(["hg", "hg", "mm", "mm", "", ""], "S2")
    _check_same(tmp_path / "c.h5")
    assert _check_same(tmp_path / "c.h5", genome="hg")["rna"].n_vars == 2


def test_counts_of_an_old_cell_ranger(tmp_path: Path) -> None:
    counts = sparse.csr_matrix(_counts((20, 6)).astype(np.int32))
    with h5py.File(tmp_path / "c.h5", "w") as file:
        for genome in ("hg19", "mm10"):
            group = file.create_group(genome)
            group["data"], group["indices"], group["indptr"] = counts.data, counts.indices, counts.indptr
            group["shape"] = np.array(counts.shape[::-1])
            group["barcodes"] = np.array([f"{genome}{i}" for i in range(20)], "S8")
            group["genes"] = group["gene_names"] = np.array([f"g{i}" for i in range(6)], "S4")
    _check_same(tmp_path / "c.h5", genome="mm10")
    with pytest.raises(ValueError, match="2 genomes"):
        scmoe.datasets.read(tmp_path / "c.h5", on_disk=True)
    assert list(tmp_path.glob("*.scmoe-cache/matrices")) == []


def test_categories_of_an_old_anndata(tmp_path: Path) -> None:
    _adata("csr", np.float32).write_h5ad(tmp_path / "a.h5ad")
    with h5py.File(tmp_path / "a.h5ad", "a") as file:
        obs = file["obs"]
        categories = obs.create_group("__categories")
        categories["kind"] = np.array(["u", "v"], h5py.string_dtype())
        obs["kind"] = np.arange(40, dtype=np.int8) % 2
        obs["kind"].attrs["categories"] = categories["kind"].ref
        obs.attrs["column-order"] = np.array(["kind"], h5py.string_dtype())
        obs.attrs["encoding-version"] = "0.1.0"
    assert list(_check_same(tmp_path / "a.h5ad")["rna"].obs["kind"][:3]) == ["u", "v", "u"]


@pytest.mark.parametrize("version", ["0.12", "0.13"])
def test_files_of_older_and_newer_libraries(tmp_path: Path, version: str) -> None:
    shutil.unpack_archive(FILES / f"anndata-{version}.tar.xz", tmp_path, filter="data")
    for name in ("cells.h5mu", "cells.zarr", "rna.h5ad", "rna.zarr"):
        _check_same(tmp_path / name)


def test_values_that_are_seldom_zero_or_missing_stay_dense(tmp_path: Path) -> None:
    adata = _adata("dense", np.float32)
    adata.X[0, 0] = np.nan
    adata.layers["full"] = adata.X + 1
    adata.layers["full"][0, 0] = 1
    scmoe.datasets.write(adata, tmp_path / "a.h5ad")
    disk = _check_same(tmp_path / "a.h5ad")["rna"]
    assert not sparse.issparse(disk.X) and not sparse.issparse(disk.layers["full"])
    assert sparse.issparse(disk.layers["other"])
    scmoe.datasets.write(disk, tmp_path / "b.h5ad")
    _check_same(tmp_path / "b.h5ad")


def test_matrix_market_cannot_stay_on_disk(tmp_path: Path) -> None:
    (tmp_path / "matrix.mtx").write_text("")
    with pytest.raises(ValueError, match="datasets.write"):
        scmoe.datasets.read(tmp_path, on_disk=True)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    scmoe.datasets.write(_adata("csr", np.float32), tmp_path / "a.h5ad")
    return tmp_path / "a.h5ad"


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> pytest.LogCaptureFixture:
    monkeypatch.setattr(scmoe._log.logger, "propagate", True)
    return caplog


def test_the_cache_is_made_once_and_removed(path: Path, lines: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        _check_same(path)
    assert sum("once" in line for line in lines.messages) == 1
    assert scmoe.datasets.remove_cache(path) is True
    assert os.listdir(path.parent) == ["a.h5ad"]
    assert scmoe.datasets.remove_cache(path) is False


def test_files_of_one_name_have_caches_of_their_own(path: Path, tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    other = tmp_path / "b" / path.name
    scmoe.datasets.write(_adata("csr", np.float32, 5), other)
    for each, n in ((path, 12), (other, 5)):
        disk = scmoe.datasets.read(each, on_disk=True, cache_dir=tmp_path / "c")
        assert disk.n_vars == n
    assert len(os.listdir(tmp_path / "c")) == 2
    assert scmoe.datasets.remove_cache(other, cache_dir=tmp_path / "c")
    with pytest.raises(ValueError, match="on_disk=True"):
        scmoe.datasets.read(path, cache_dir=tmp_path)


def test_a_cache_of_another_version_is_made_anew(path: Path, lines: pytest.LogCaptureFixture) -> None:
    before = _check_same(path)
    values = _dense(before["rna"].X).copy()
    scmoe.datasets.write(_adata("csr", np.float32, 7), path)
    assert _check_same(path).n_vars == 7
    assert any("has changed" in line for line in lines.messages)
    np.testing.assert_array_equal(_dense(before["rna"].X), values)  # what is in use stays


@pytest.mark.parametrize("damage", ["byte", "cut", "record", "lost"])
def test_a_damaged_cache_is_made_anew(path: Path, damage: str, lines: pytest.LogCaptureFixture) -> None:
    scmoe.datasets.read(path, on_disk=True)
    folder = path.with_name("a.h5ad.scmoe-cache") / "matrices"
    file = folder / "cache.json" if damage == "record" else max(folder.glob("*.data"))
    content = bytearray(file.read_bytes())
    if damage == "lost":
        file.unlink()
    else:
        content[len(content) // 2] ^= 1
        file.write_bytes(content[: len(content) // 2] if damage == "cut" else content)
    _check_same(path)
    assert any("damaged" in line for line in lines.messages)


def test_a_full_disk_leaves_nothing_behind(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(_cache.MatrixFiles, "append", fail)
    with pytest.raises(WriteError, match="No space left.*cache_dir="):
        scmoe.datasets.read(path, on_disk=True)
    assert os.listdir(path.parent) == ["a.h5ad"]


def test_too_little_room_is_said_before_anything_is_copied(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 1}))
    with pytest.raises(WriteError, match="GB left.*cache_dir="):
        scmoe.datasets.read(path, on_disk=True)
    assert os.listdir(path.parent) == ["a.h5ad"]


def test_a_folder_that_cannot_be_written(path: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WriteError, match="cache_dir="):
        scmoe.datasets.read(path, on_disk=True, cache_dir=tmp_path / "file")


def test_a_file_that_changes_while_it_is_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    states = iter([[1, 1, 1], [1, 1, 2]])
    monkeypatch.setattr(_cache, "state_of", lambda _: next(states))
    with pytest.raises(ValueError, match="changed while it was read"):
        scmoe.datasets.read(path, on_disk=True)
    assert os.listdir(path.parent) == ["a.h5ad"]


def test_a_cache_on_a_full_disk_is_removed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    scmoe.datasets.read(path, on_disk=True)
    monkeypatch.setattr(Path, "write_bytes", fail)
    assert scmoe.datasets.read(path, on_disk=True).n_obs == 40  # what is there can be read
    assert scmoe.datasets.remove_cache(path)
    assert os.listdir(path.parent) == ["a.h5ad"]


def test_a_cache_that_is_being_made_is_not_removed(path: Path) -> None:
    scmoe.datasets.read(path, on_disk=True)
    with sole_run(path.with_name("a.h5ad.scmoe-cache")), pytest.raises(WriteError, match="Another process"):
        scmoe.datasets.remove_cache(path)
    assert scmoe.datasets.remove_cache(path)


def test_other_files_in_the_folder_are_not_removed(path: Path) -> None:
    scmoe.datasets.read(path, on_disk=True)
    (path.with_name("a.h5ad.scmoe-cache") / "mine.txt").write_text("")
    with pytest.raises(WriteError, match="mine.txt"):
        scmoe.datasets.remove_cache(path)


def test_two_processes_make_one_cache(path: Path) -> None:
    code = f"import scmoe; print(scmoe.datasets.read({str(path)!r}, on_disk=True).n_obs)"
    processes = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    results = [process.communicate() for process in processes]
    assert [out.strip() for out, _ in results] == ["40", "40"]
    assert sum("once" in err for _, err in results) == 1
