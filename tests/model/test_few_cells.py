"""Predictions from few cells, and of modalities that share little: what they are worth, and that it is said."""

import numpy as np
import pytest
from anndata import AnnData
from mudata import MuData

from scmoe._matrix import dense
from scmoe.io._quiet import quiet_mudata
from scmoe.model._training import explained_by_direction

N_NEW, N_GENES = 100, 40


def cells(n, other):
    """RNA of cells of three kinds, and another modality of the same cells."""
    rng, effects = np.random.default_rng(0), np.random.default_rng(9).normal(size=(3, N_GENES))
    rna = 1.5 * effects[rng.integers(3, size=n)] + rng.normal(size=(n, N_GENES))
    values = {"noise": rng.normal(size=(n, 12)), "twin": rna, "constant": np.full((n, 4), 3.3)}[other]
    with quiet_mudata():
        parts = {"rna": AnnData(rna.astype(np.float32)), "other": AnnData(values.astype(np.float32))}
        for name, part in parts.items():
            part.obs_names, part.var_names = [f"c{i}" for i in range(n)], [f"{name}{i}" for i in range(part.n_vars)]
        return MuData(parts)


def skill(truth, predicted, mean):
    return 1 - np.square(truth - predicted).sum() / np.square(truth - mean).sum()


@pytest.mark.parametrize("n", [20, 80])
@pytest.mark.parametrize("other", ["noise", "twin", "constant"])
def test_predictions_from_few_cells_are_no_worse_than_the_mean(fit_model, n, other):
    mdata = cells(n + N_NEW, other)
    with quiet_mudata():
        known, new = mdata[:n].copy(), mdata[n:].copy()
    model = fit_model(known, max_epochs=30)
    mean = known["rna"].X[model.train_indices].mean(0)
    found = skill(new["rna"].X, model.impute("other", "rna", new), mean)
    assert np.isfinite(model.impute("rna", "other", new)).all()
    assert found > (0.1 if other == "twin" else -0.02)
    if n > 20 or other == "twin":  # two validation cells may be predicted by chance
        assert ("rna from other" in model.diagnostics["unpredicted"]) == (other != "twin")


@pytest.mark.parametrize("data", ["paired", "mosaic"])
def test_what_a_direction_explains_is_a_share_of_the_variance_of_standardized_features(fresh, fit_model, data):
    mdata = fresh(data)
    model = fit_model(mdata, max_epochs=10)
    found, names = explained_by_direction(model.fitted), model.feature_names["rna"]
    held_out = mdata.obs_names[model.validation_indices]
    both = held_out[held_out.isin(mdata["rna"].obs_names) & held_out.isin(mdata["adt"].obs_names)]
    truth = dense(mdata["rna"][both, names].X)
    predicted = model.impute("adt", "rna", indices=both)
    mean, std = (getattr(model.module.standardizers[model.modalities.index("rna")], s).numpy() for s in ("mean", "std"))
    z, p = ((x - mean) / std for x in (truth, predicted))
    assert found["rna from adt"] == pytest.approx((np.square(z) - np.square(z - p)).mean(), abs=1e-3)
