import numpy as np
import pytest

import scmoe

OUTPUTS = {"seurat": "x.h5ad", "cellxgene": "x.h5ad", "vitessce": "x", "csv": "x"}


@pytest.mark.parametrize("to", OUTPUTS)
def test_nothing_of_the_user_s_changes_and_nothing_is_replaced(result, tmp_path, contents, to):
    before = contents(result)
    path = tmp_path / OUTPUTS[to]
    scmoe.datasets.export(result, path, to=to)
    assert contents(result) == before
    with pytest.raises(ValueError, match="is there already. Pass overwrite=True"):
        scmoe.datasets.export(result, path, to=to)
    scmoe.datasets.export(result, path, to=to, overwrite=True)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("to", OUTPUTS)
def test_data_without_results_are_refused(paired, tmp_path, to):
    with pytest.raises(KeyError, match="hold no results of scmoe under the name 'scmoe'. Train first"):
        scmoe.datasets.export(paired, tmp_path / OUTPUTS[to], to=to)


@pytest.mark.parametrize("to", OUTPUTS)
def test_no_cells_are_refused(result, tmp_path, to):
    with pytest.raises(ValueError, match="at least one cell"):
        scmoe.datasets.export(result[:0].copy(), tmp_path / OUTPUTS[to], to=to)


def test_other_names_are_refused(result, tmp_path):
    with pytest.raises(KeyError, match="has no modality 'protein'"):
        scmoe.datasets.export(result, tmp_path / "x.h5ad", to="seurat", modality="protein")
    with pytest.raises(ValueError, match="values= are fields of CELLxGENE's schema"):
        scmoe.datasets.export(result, tmp_path / "x.h5ad", to="seurat", values={"title": "x"})
    with pytest.raises(ValueError, match="to must be"):
        scmoe.datasets.export(result, tmp_path / "x.h5ad", to="scanpy")


def test_an_anndata_is_exported_too(single, tl_train, tmp_path):
    adata = single["rna"]
    tl_train(adata, umap=True)
    assert scmoe.datasets.export(adata, tmp_path / "x.h5ad", to="seurat") == []
    assert scmoe.datasets.export(adata, tmp_path / "out", to="csv") == []
    assert np.isfinite(adata.obsm["X_umap"]).all()
