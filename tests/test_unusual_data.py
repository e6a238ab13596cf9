"""Data that are odd but not wrong: training ends, and every result is finite and sensible."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from mudata import MuData

import scmoe
from scmoe.io._quiet import quiet_mudata


def mudata_of(mdata: MuData, **mods: ad.AnnData) -> MuData:
    with quiet_mudata():
        changed = MuData({name: adata.copy() for name, adata in mods.items()})
    changed.obs["cell_type"] = mdata.obs["cell_type"].reindex(changed.obs_names)
    return changed


def with_constant_features(mdata: MuData) -> MuData:
    genes = mdata["rna"].X.toarray()
    genes[:, :20] = np.linspace(0, 5, 20, dtype=np.float32)
    mdata["rna"].X = genes
    return mdata


def with_a_constant_modality(mdata: MuData) -> MuData:
    mdata["adt"].X = np.full(mdata["adt"].shape, 2.5, np.float32)
    return mdata


def of_alike_cells(mdata: MuData) -> MuData:
    """Forty cells, each under three names."""
    repeated = {}
    for name in mdata.mod:
        thrice = [mdata[name][mdata.obs_names[:40]].copy() for _ in range(3)]
        adata = ad.concat(dict(zip("abc", thrice, strict=True)), index_unique="-")
        repeated[name] = adata
    changed = mudata_of(mdata, **repeated)
    changed.obs["cell_type"] = mdata.obs["cell_type"].loc[[name[:-2] for name in changed.obs_names]].to_numpy()
    return changed


def of_one_protein(mdata: MuData) -> MuData:
    return mudata_of(mdata, rna=mdata["rna"], adt=mdata["adt"][:, :1])


def of_one_feature_each(mdata: MuData) -> MuData:
    return mudata_of(mdata, rna=mdata["rna"][:, 3:4], adt=mdata["adt"][:, :1])


def of_fewer_cells_than_tokens(mdata: MuData) -> MuData:
    few = mdata.obs_names[[0, 1, 2, 3, 4, 5]]
    return mudata_of(mdata, rna=mdata["rna"][few], adt=mdata["adt"][few])


CASES = [
    with_constant_features,
    with_a_constant_modality,
    of_alike_cells,
    of_one_protein,
    of_one_feature_each,
    of_fewer_cells_than_tokens,
]


@pytest.mark.parametrize("tokenizer", ["program", "patch"])
@pytest.mark.parametrize("change", CASES)
def test_odd_data_give_finite_results(paired, tl_train, change, tokenizer):
    mdata = change(paired)
    model = tl_train(mdata, tokenizer=tokenizer, n_tokens=8, labels_key="cell_type")
    for source, target in (("rna", "adt"), ("adt", "rna")):
        scmoe.tl.impute(mdata, model, source=source, target=target)
        assert np.isfinite(mdata.obsm[f"scmoe_{target}_from_{source}"].to_numpy()).all()
    assert np.isfinite(mdata.obsm["X_scmoe"]).all()
    assert np.isfinite(mdata.obsm["scmoe_label_probability"].to_numpy()).all()
    assert not mdata.obs["scmoe_cluster"].isna().any()
    assert np.isfinite(
        model.history.drop(columns=[c for c in model.history if model.history[c].isna().all()]).to_numpy()
    ).all()


def test_a_constant_feature_is_predicted_as_it_is(paired, fit_model):
    model = fit_model(with_constant_features(paired))
    predicted = pd.DataFrame(model.impute("adt", "rna"), columns=model.feature_names["rna"])
    np.testing.assert_allclose(predicted.iloc[:, :20], np.tile(np.linspace(0, 5, 20), (120, 1)), atol=1e-5)


def test_alike_cells_have_one_embedding(paired, fit_model):
    mdata = of_alike_cells(paired)
    embedding = fit_model(mdata).get_latent_representation()
    where = [mdata.obs_names.get_indexer([f"cell{i}-{copy}" for i in range(40)]) for copy in "abc"]
    np.testing.assert_allclose(embedding[where[1]], embedding[where[0]], atol=1e-5)
    np.testing.assert_allclose(embedding[where[2]], embedding[where[0]], atol=1e-5)


@pytest.mark.parametrize("factor", [2.0**20, 2.0**-20], ids=["times 10^6", "by 10^6"])
def test_scales_of_modalities_do_not_matter(paired, fit_model, factor):
    # Powers of two, so that not even a rounding differs.
    model = fit_model(paired)
    expected = model.get_latent_representation(), model.impute("rna", "adt"), model.impute("adt", "rna")
    paired["adt"].X = (paired["adt"].X * factor).astype(np.float32)
    model = fit_model(paired)
    np.testing.assert_allclose(model.get_latent_representation(), expected[0], rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(model.impute("rna", "adt") / factor, expected[1], rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(model.impute("adt", "rna"), expected[2], rtol=1e-3, atol=1e-4)
