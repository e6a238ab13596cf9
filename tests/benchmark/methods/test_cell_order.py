"""Methods of other libraries pair the rows of modalities by position: each must get cells in one order."""

import numpy as np
import pytest
from mudata import MuData

from scmoe.benchmark._inputs import Run
from scmoe.benchmark.methods import _embed, _scvi, _unitednet_network
from scmoe.benchmark.methods._registry import method_of
from scmoe.io._quiet import quiet_mudata
from scmoe.pp._prepare import prepare
from scmoe.studies.speed._data import simulate

SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("wnn", "totalvi", "multivi")]

N_CELLS = 120  # fewer than the candidates that muon's WNN asks for


@pytest.fixture(autouse=True)
def one_epoch(monkeypatch):
    monkeypatch.setattr(_scvi, "MAX_EPOCHS", 1)
    monkeypatch.setattr(_scvi, "multivi_epochs", lambda n_cells: 1)
    monkeypatch.setattr(_embed, "N_FACTORS", 3)
    monkeypatch.setattr(_unitednet_network, "N_STEPS", 2)


def simulated(method):
    second = {"peaks": 40} if method == "multivi" else {"proteins": 20}
    mdata = simulate(N_CELLS, genes=30, density=0.3, **second)
    mdata.obs["batch"] = np.where(np.arange(N_CELLS) < 30, "first", "second")
    prepare(mdata)
    return mdata


def shuffled(mdata):
    """The same cells, each modality in an order of its own, the last one first."""
    rng = np.random.default_rng(0)
    with quiet_mudata():
        out = MuData({name: mdata[name][rng.permutation(mdata.n_obs)].copy() for name in reversed(mdata.mod)})
    out.obs["batch"] = mdata.obs["batch"][out.obs_names]
    out.uns = mdata.uns
    return out


def embedding(method, mdata):
    run = Run(task="embed", method=method, seed=0, case="", data="", batch="batch")
    return method_of(method).embed(mdata, run)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("method", ["pca", "snf", "schema", "unitednet", "mofa", *SLOW])
def test_order_of_a_modality_changes_nothing(method):
    for library in method_of(method).libraries:
        pytest.importorskip(library)
    mdata = simulated(method)
    mixed = shuffled(mdata)
    before = {name: (adata.obs_names.copy(), adata.X.copy()) for name, adata in mixed.mod.items()}
    with quiet_mudata():
        one_order = MuData({name: mdata[name][mixed.obs_names].copy() for name in reversed(mdata.mod)})
    one_order.obs["batch"], one_order.uns = mixed.obs["batch"], mixed.uns
    expected, found = embedding(method, one_order), embedding(method, mixed)
    np.testing.assert_allclose(found.points, expected.points, atol=1e-5)
    if found.graph is not None:
        np.testing.assert_allclose(found.graph.toarray(), expected.graph.toarray(), atol=1e-6)
    for name, (cells, values) in before.items():  # what the method was given is as it was
        assert mixed[name].obs_names.equals(cells)
        assert abs(mixed[name].X - values).max() == 0
