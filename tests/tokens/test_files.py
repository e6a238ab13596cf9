"""Counts of several files in one AnnData."""

from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import scmoe
from scmoe.io._mapped import folder_of
from scmoe.tokens import Vocabulary, read_files


def dense(matrix) -> np.ndarray:
    return matrix.toarray() if sparse.issparse(matrix) else np.asarray(matrix)


GENES = [f"g{i}" for i in range(12)]


def write(path: Path, genes: list[str], seed: int, n: int = 5, **obs: object) -> ad.AnnData:
    counts = np.random.default_rng(seed).poisson(1, (n, len(genes))).astype(np.float32)
    frame = pd.DataFrame({"sample": "s", **obs}, index=[f"cell{i}" for i in range(n)])
    adata = ad.AnnData(sparse.csr_matrix(counts), obs=frame, var=pd.DataFrame(index=genes))
    scmoe.datasets.write(adata, path)
    return adata


@pytest.fixture
def files(tmp_path) -> list[Path]:
    paths = [tmp_path / "a.h5ad", tmp_path / "b.zarr"]
    write(paths[0], GENES, 0, donor="d1")
    write(paths[1], GENES[:2:-1] + ["other"], 1, n=4)  # nine of the genes, in another order, and one more
    return paths


@pytest.mark.parametrize("on_disk", [False, True])
def test_genes_that_all_files_have_in_one_order(files, on_disk):
    found = read_files(files, on_disk=on_disk)
    assert list(found.var_names) == GENES[3:] and found.X.dtype == np.float32
    parts = [scmoe.datasets.read(path)["rna"][:, GENES[3:]].X for path in files]
    np.testing.assert_array_equal(dense(found.X), np.vstack([dense(part) for part in parts]))
    assert list(found.obs) == ["sample", "source"] and list(found.obs["source"]) == ["a"] * 5 + ["b"] * 4
    assert found.obs_names[0] == "a:cell0" and found.obs_names.is_unique
    assert (folder_of(found.X) is not None) == on_disk


def test_a_folder_is_its_files_in_the_order_of_their_names(files):
    (files[0].parent / "notes.txt").write_text("nothing")
    np.testing.assert_array_equal(dense(read_files(files[0].parent).X), dense(read_files(files).X))


def test_genes_of_a_vocabulary_that_a_file_lacks_are_said(files, capsys):
    vocabulary = Vocabulary(tuple(GENES[::-1]))
    found = read_files(files, vocabulary)
    assert list(found.var_names) == GENES[::-1]
    assert "b.zarr lacks 3 of the 12 genes: they count as 0 there" in capsys.readouterr().err
    assert not dense(found[5:, GENES[:3]].X).any() and dense(found[:5, GENES[:3]].X).any()


def test_a_model_is_pretrained_on_all_of_them(files):
    found = read_files(files, on_disk=True)
    kwargs = {"batch_size": 4, "accelerator": "cpu", "enable_progress_bar": False}
    settings = {"encoder_width": 8, "encoder_heads": 2, "decoder_width": 8, "decoder_heads": 2}
    model = scmoe.tl.pretrain(found, max_epochs=1, train_kwargs=kwargs, **settings)
    assert found.obsm["X_xtrimogene"].shape[0] == 9
    counts = model.setup.read(found).counts
    assert counts.data.base is not None and np.shares_memory(counts.data, found.X.data)  # not once more on the disk


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ([], FileNotFoundError, "no file with cells in an empty list"),
        (["nowhere.h5ad"], FileNotFoundError, "There is no file"),
        (["a.h5ad", "a.h5ad"], ValueError, "named twice"),
        (["a.h5ad", "c.h5ad"], ValueError, "0 genes in common, too few. a.h5ad has g0"),
    ],
)
def test_bad_input(files, tmp_path, arguments, error, message):
    write(tmp_path / "c.h5ad", [f"ENSG{i}" for i in range(12)], 2)
    with pytest.raises(error, match=message):
        read_files([tmp_path / name for name in arguments])


def test_an_empty_folder_and_an_absent_modality(files, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="no file with cells in"):
        read_files(tmp_path / "empty")
    scmoe.datasets.write(scmoe.datasets.bmmc_cite(), tmp_path / "d.h5mu")
    with pytest.raises(ValueError, match="has no modality 'atac'; it has rna, adt"):
        read_files([tmp_path / "d.h5mu"], modality="atac")
