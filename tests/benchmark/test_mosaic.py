import numpy as np
import pytest

from scmoe.benchmark._inputs import Run
from scmoe.benchmark._mosaic import make_mosaic, mosaic_scores
from scmoe.benchmark._outputs import Integration, Prediction
from scmoe.benchmark._timing import Meter
from scmoe.benchmark.methods import _scmoe
from scmoe.benchmark.methods._method import Method
from scmoe.benchmark.methods._registry import METHODS


def a_run(method):
    pair = {"case": "rna and adt", "source": "rna", "target": "adt"}
    return Run(task="mosaic", method=method, seed=3, data="", labels="cell_type", batch="batch", **pair)


def test_cells_lack_what_the_permutation_says(paired):
    mosaic = make_mosaic(paired, "rna", "adt", 3)
    order = paired.obs_names[np.random.default_rng(3).permutation(120)]
    rna, adt = (set(mosaic.cells[name].obs_names) for name in ("rna", "adt"))
    assert (rna - adt, adt - rna, rna & adt) == (set(order[:48]), set(order[48:72]), set(order[72:]))
    assert mosaic.cells.obs_names.equals(paired.obs_names) and mosaic.cells.obs.equals(paired.obs)
    assert list(mosaic.first_only.mod) == ["rna"] and set(mosaic.first_only.obs_names) == rna - adt
    assert list(mosaic.second_only.mod) == ["adt"] and set(mosaic.second_only.obs_names) == adt - rna


def test_perfect_integration_has_perfect_scores(paired, monkeypatch):
    def perfect(mosaic, run):
        codes = paired.obs["cell_type"].cat.codes.to_numpy()
        adt, rna = (
            paired[name][cells.obs_names].X for name, cells in (("adt", mosaic.first_only), ("rna", mosaic.second_only))
        )
        return Integration(
            points=np.eye(3)[codes], second=Prediction(values=adt), first=Prediction(values=rna.toarray(), weight=0.5)
        )

    monkeypatch.setitem(METHODS, "scmoe", Method(name="scmoe", integrate=perfect))
    scores = mosaic_scores(paired, a_run("scmoe"), Meter())
    names = ("knn_accuracy", "knn_macro_f1", "transfer_accuracy", "second_pearson", "first_pearson", "second_r2")
    assert [scores[name] for name in names] == pytest.approx([1] * 6)
    assert scores["first_weight"] == 0.5 and "second_weight" not in scores
    assert (scores["n_first_only"], scores["n_second_only"], scores["n_paired"]) == (48, 24, 48)


def test_labels_are_carried_from_paired_cells_only(paired, monkeypatch):
    def one_place(mosaic, run):
        return Integration(points=np.zeros((120, 2)))

    monkeypatch.setitem(METHODS, "scmoe", Method(name="scmoe", integrate=one_place))
    paired.obs["cell_type"] = np.where(
        paired.obs_names.isin(make_mosaic(paired, "rna", "adt", 3).paired.obs_names), "paired", "other"
    )
    assert mosaic_scores(paired, a_run("scmoe"), Meter())["transfer_accuracy"] == 0


@pytest.mark.parametrize(
    ("method", "names"),
    [("ridge", {"second_pearson", "first_pearson"}), ("pca_rna", {"transfer_accuracy"})],
)
def test_baselines_give_what_they_can(paired, method, names):
    scores = mosaic_scores(paired, a_run(method), Meter())
    assert set(scores) & {"second_pearson", "first_pearson", "transfer_accuracy", "knn_accuracy"} == names
    assert all(scores[name] > 0.3 for name in names)


def test_one_model_is_trained_on_the_mosaic(paired, monkeypatch, fit_model):
    trained = []

    def fit(method, mdata, seed, batch_key):
        trained.append(mdata)
        return fit_model(mdata, setup={"batch_key": batch_key})

    monkeypatch.setattr(_scmoe, "fit", fit)
    scores = mosaic_scores(paired, a_run("scmoe"), Meter())
    assert len(trained) == 1 and trained[0]["adt"].n_obs == 72
    assert {"knn_accuracy", "transfer_accuracy", "second_pearson", "first_weight"} <= set(scores)
