import sys
from types import SimpleNamespace

import numpy as np
import pytest

from scmoe.benchmark._cells import subset
from scmoe.benchmark._inputs import Run
from scmoe.benchmark._mosaic import make_mosaic
from scmoe.benchmark.methods._midas import Midas, predict

PART = "part"


class Stub:
    """Stands for `scmidas.MIDAS`: the latent variable is the cell's number, and every cell has the same counts."""

    def __init__(self, mdata, **kwargs):
        self.mdata = Stub.seen = mdata

    @staticmethod
    def setup_mudata(mdata, batch_key):
        assert all(batch_key in mdata[name].obs for name in mdata.mod)

    def train(self, max_epochs, **kwargs):
        assert max_epochs * -(-self.mdata.n_obs // 256) >= 2000

    def get_latent_representation(self):
        return self.mdata.obs_names.str.removeprefix("cell").astype(float).to_numpy()[:, None]

    def get_imputed_values(self, modality):
        return np.ones((self.mdata.n_obs, self.mdata[modality].n_vars))


@pytest.fixture
def stub(monkeypatch):
    monkeypatch.setitem(sys.modules, "scmidas", SimpleNamespace(MIDAS=Stub, load_config=dict))
    return Stub


def test_batches_are_split_by_what_their_cells_have(stub, paired):
    mosaic = make_mosaic(paired, "rna", "adt", 0).cells
    Midas(mosaic, "batch", 0)
    rna, adt = (stub.seen[name] for name in ("rna", "adt"))
    assert set(rna.obs[PART]) == {f"donor{i}:{has}" for i in (1, 2) for has in ("rna", "rna+adt")}
    paired_parts = [part for part in set(rna.obs[PART]) if part.endswith("+adt")]
    for part in paired_parts:  # MIDAS pairs cells by position
        assert rna.obs_names[rna.obs[PART] == part].equals(adt.obs_names[adt.obs[PART] == part])


def test_raw_counts_are_given_and_the_order_of_cells_comes_back(stub, paired):
    mosaic = make_mosaic(paired, "rna", "adt", 0).cells
    points = Midas(mosaic, None, 0).embedding()
    np.testing.assert_array_equal(points[:, 0], mosaic.obs_names.str.removeprefix("cell").astype(int))
    cells = stub.seen["adt"].obs_names
    np.testing.assert_array_equal(stub.seen["adt"].X, paired["adt"][cells].layers["counts"])


def test_target_of_test_cells_is_not_given(stub, paired):
    train, test = subset(paired, paired.obs_names[:90], ["rna", "adt"]), subset(paired, paired.obs_names[90:], ["rna"])
    run = Run(task="predict", method="midas", seed=0, case="", data="", batch="batch", source="rna", target="adt")
    prediction = predict(train, test, run)
    assert set(stub.seen["adt"].obs_names) == set(train.obs_names)
    assert set(stub.seen["rna"].obs_names) == set(paired.obs_names)
    np.testing.assert_allclose(prediction.values, np.tile(train["adt"].X.mean(axis=0), (30, 1)), rtol=1e-5)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_package_itself(paired, monkeypatch):
    pytest.importorskip("scmidas", reason="scmidas is not installed")
    monkeypatch.setattr("scmoe.benchmark.methods._midas.N_STEPS", 2)
    mosaic = make_mosaic(paired, "rna", "adt", 0)
    midas = Midas(mosaic.cells, "batch", 0)
    assert np.isfinite(midas.embedding()).all()
    assert np.isfinite(midas.predicted(mosaic.paired, mosaic.second_only, "rna").values).all()
