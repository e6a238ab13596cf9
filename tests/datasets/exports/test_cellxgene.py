import anndata as ad
import h5py
import numpy as np
import pytest
from scipy import sparse

import scmoe
from scmoe.datasets.exports._cellxgene import CELL_FIELDS, FILE_FIELDS

FIELDS = (*CELL_FIELDS, *FILE_FIELDS)
VALUES = dict.fromkeys(FIELDS, "unknown") | {"is_primary_data": "True", "donor_id": "obs/batch"}


@pytest.fixture
def named(result):
    """With Ensembl identifiers, two of them the same, in a column of var."""
    mdata = result.copy()
    names = [f"ENSG{i:011d}.{i % 3}" for i in range(mdata["rna"].n_vars)]
    mdata["rna"].var["gene_ids"] = [*names[:-1], names[0]]
    return mdata


def test_the_layout_is_the_schema_s(named, tmp_path):
    assert scmoe.datasets.export(named, tmp_path / "x.h5ad", to="cellxgene", values=VALUES) == []
    adata, rna = ad.read_h5ad(tmp_path / "x.h5ad"), named["rna"]
    cells = named.obs.loc[rna.obs_names]
    assert list(adata.var_names) == [f"ENSG{i:011d}" for i in range(rna.n_vars - 1)] and adata.var_names.is_unique
    assert list(adata.raw.var_names) == list(adata.var_names) and "feature_is_filtered" not in adata.raw.var
    for matrix, own in ((adata.X, rna.X), (adata.raw.X, rna.layers["counts"])):
        assert sparse.issparse(matrix) and matrix.format == "csr" and matrix.dtype == np.float32
        np.testing.assert_allclose(matrix.toarray(), own.toarray()[:, :-1])
    expected = (rna.X.toarray()[:, :-1] == 0).all(0) & (rna.layers["counts"].toarray()[:, :-1] > 0).any(0)
    np.testing.assert_array_equal(adata.var["feature_is_filtered"], expected)
    assert set(adata.obsm) == {"X_umap", "X_scmoe"} and adata.uns["default_embedding"] == "X_umap"
    assert "cell_type" not in adata.obs and list(adata.obs["author_cell_type"]) == list(cells["cell_type"])
    assert list(adata.obs["donor_id"]) == list(cells["batch"]) and adata.obs["is_primary_data"].all()
    assert adata.obs["is_primary_data"].dtype == bool
    assert not any(len(adata.uns[key]) == 0 for key in adata.uns)
    assert len(adata.obs["gap"].cat.categories) == 1  # none without cells


def test_no_encoding_is_newer_than_anndata_0_11(named, tmp_path):
    scmoe.datasets.export(named, tmp_path / "x.h5ad", to="cellxgene", values=VALUES)
    kinds = set()
    with h5py.File(tmp_path / "x.h5ad") as file:
        file.visititems(lambda name, entry: kinds.add(entry.attrs.get("encoding-type")))
    old = {"array", "string-array", "categorical", "dataframe", "dict", "csr_matrix", "string", "raw", "anndata", None}
    assert kinds <= old


def test_what_is_missing_is_said_in_words(result, tmp_path):
    missing = scmoe.datasets.export(result, tmp_path / "x.h5ad", to="cellxgene", modality="ephys")
    text = "\n".join(missing)
    assert all(f"[{name!r}] is missing" in text for name in (*CELL_FIELDS, *FILE_FIELDS))
    assert "Features of ephys have no Ensembl identifiers" in text and "ephys has no layer 'counts'" in text


def test_columns_that_have_a_field_s_name_are_taken(named, tmp_path):
    named.obs["tissue_type"] = "tissue"
    values = {name: value for name, value in VALUES.items() if name != "tissue_type"}
    assert scmoe.datasets.export(named, tmp_path / "x.h5ad", to="cellxgene", values=values) == []


@pytest.mark.parametrize(
    ("values", "error", "match"),
    [
        ({"species": "human"}, ValueError, "'species' is no field of CELLxGENE's schema"),
        ({"donor_id": "obs/nobody"}, KeyError, "'nobody' is not a column of mdata.obs"),
        ({"is_primary_data": "maybe"}, ValueError, "is_primary_data must be true or false; found 'maybe'"),
    ],
)
def test_values_that_cannot_be_are_refused(result, tmp_path, values, error, match):
    with pytest.raises(error, match=match):
        scmoe.datasets.export(result, tmp_path / "x.h5ad", to="cellxgene", values=values)
    assert not list(tmp_path.iterdir())


def test_cells_without_counts_are_said(named, tmp_path):
    counts = named["rna"].layers["counts"].tolil()
    counts[3] = 0
    named["rna"].layers["counts"] = counts.tocsr()
    (sentence,) = scmoe.datasets.export(named, tmp_path / "x.h5ad", to="cellxgene", values=VALUES)
    assert sentence.startswith("1 cells have no count in rna")
