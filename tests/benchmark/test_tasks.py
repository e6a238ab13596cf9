import numpy as np
import pandas as pd
import pytest

from scmoe.benchmark._cells import known_labels, subset
from scmoe.benchmark._inputs import Run
from scmoe.benchmark._outputs import Prediction
from scmoe.benchmark._tasks import few_labels, held_out_cells, perform
from scmoe.benchmark.methods._method import Method
from scmoe.benchmark.methods._registry import METHODS


def a_run(task, method, case="all cells", **kwargs):
    return Run(task=task, method=method, seed=0, case=case, data="", labels="cell_type", batch="batch", **kwargs)


def test_subset_keeps_order_and_can_forget_what_is_known(mosaic):
    cells = mosaic.obs_names[[7, 3, 30, 11]]
    part = subset(mosaic, cells, ["rna", "adt", "ephys"])
    assert part.obs_names.equals(cells) and part.obs.equals(mosaic.obs.loc[cells])
    assert set(part["rna"].obs_names) == set(cells) & set(mosaic["rna"].obs_names)
    assert "cell_type" not in subset(mosaic, cells, ["rna", "adt"], obs=False).obs


def test_target_of_held_out_cells_is_not_there(paired, monkeypatch):
    seen = {}

    def spy(train, test, run):
        seen.update(train=train, test=test)
        return Prediction(values=np.zeros((test.n_obs, train[run.target].n_vars)))

    monkeypatch.setitem(METHODS, "scmoe", Method(name="scmoe", predict=spy))
    perform(paired, a_run("predict", "scmoe", "rna → adt", source="rna", target="adt"))
    assert list(seen["test"].mod) == ["rna"] and set(seen["train"].mod) == {"rna", "adt"}
    assert not set(seen["test"].obs_names) & set(seen["train"].obs_names)
    assert (seen["train"].n_obs, seen["test"].n_obs) == (96, 24)


def test_fewer_training_cells_leave_held_out_cells_as_they_are(paired, monkeypatch):
    parts = []

    def spy(train, test, run):
        parts.append((set(train.obs_names), list(test.obs_names)))
        return Prediction(values=np.zeros((test.n_obs, train[run.target].n_vars)))

    monkeypatch.setitem(METHODS, "scmoe", Method(name="scmoe", predict=spy))
    for n_cells in (20, None):
        perform(paired, a_run("predict", "scmoe", "rna → adt", source="rna", target="adt", n_cells=n_cells))
    (few, new), (every, again) = parts
    assert len(few) == 20 and few < every and new == again


def test_labels_of_held_out_cells_are_not_there(paired, monkeypatch):
    def spy(fold, run):
        train, test = fold.training_cells(), fold.test_cells()
        assert run.labels in train.obs and run.labels not in test.obs
        assert fold.labels.iloc[fold.test].isna().all() and fold.labels.iloc[fold.train].notna().all()
        assert not set(train.obs_names) & set(test.obs_names)
        return pd.DataFrame(1.0, index=test.obs_names, columns=["B"])

    monkeypatch.setitem(METHODS, "scmoe", Method(name="scmoe", annotate=spy))
    result = perform(paired, a_run("annotate", "scmoe", "folds"))
    assert result["scores"]["accuracy"] == pytest.approx((paired.obs["cell_type"] == "B").mean())


def test_few_labels_are_drawn_from_each_type_and_among_those_of_more():
    labels = pd.Series(list("aaaaaabbbc"), index=[f"cell {i}" for i in range(10)])
    few, more = (few_labels(labels, n, seed=0) for n in (2, 4))
    assert few.value_counts().to_dict() == {"a": 2, "b": 2, "c": 1}
    assert more.value_counts().to_dict() == {"a": 4, "b": 3, "c": 1}
    assert set(few.index) < set(more.index) and few.equals(labels[few.index])
    assert len({tuple(sorted(few_labels(labels, 2, seed).index)) for seed in range(9)}) > 1
    assert few_labels(labels, None, seed=0).equals(labels)


def test_labels_that_training_cells_have_lost_are_nowhere(paired, monkeypatch):
    folds = {}

    def spy(fold, run):
        train, test = fold.training_cells(), fold.test_cells()
        assert len(train) == len(fold.train) and train.obs_names.equals(paired.obs_names[fold.train])
        seen = train.obs[run.labels]
        assert seen.value_counts().to_dict() == dict.fromkeys(seen.dropna(), 3)
        assert list(seen.dropna()) == list(fold.training_labels())
        assert (fold.training_labels() == paired.obs[run.labels].astype(str).iloc[fold.labeled]).all()
        folds.setdefault(run.method, []).append(list(fold.labeled))
        return pd.DataFrame(1.0, index=test.obs_names, columns=["B"])

    for name in ("scmoe", "logreg"):
        monkeypatch.setitem(METHODS, name, Method(name=name, annotate=spy))
        result = perform(paired, a_run("annotate", name, "folds", labels_per_type=3))
        assert result["scores"]["accuracy"] == pytest.approx((paired.obs["cell_type"] == "B").mean())
    assert folds["scmoe"] == folds["logreg"] and len(folds["scmoe"]) == 5


def test_batches_are_held_out_whole(paired):
    labels = known_labels(paired, "cell_type")
    folds = list(held_out_cells(paired, labels, a_run("annotate", "logreg", "batches")))
    assert len(folds) == 2
    for train, test in folds:
        assert not set(paired.obs["batch"].iloc[train]) & set(paired.obs["batch"].iloc[test])


def test_every_cell_is_held_out_once_though_a_class_is_small(paired):
    labels = known_labels(paired, "cell_type")
    labels.iloc[0] = "alone"
    folds = list(held_out_cells(paired, labels, a_run("annotate", "logreg", "folds")))
    assert sorted(np.concatenate([test for _, test in folds])) == list(range(paired.n_obs))


def test_unknown_is_no_label(paired):
    paired.obs["cell_type"] = paired.obs["cell_type"].astype(object)
    paired.obs.iloc[0, paired.obs.columns.get_loc("cell_type")] = "Unknown"
    paired.obs.iloc[1, paired.obs.columns.get_loc("cell_type")] = None
    assert known_labels(paired, "cell_type").isna().sum() == 2
    assert known_labels(paired, None) is None


@pytest.mark.parametrize(
    ("run", "score", "least"),
    [
        (a_run("embed", "pca"), "kmeans_ari", 0.9),
        (a_run("embed", "pca_rna"), "knn_accuracy", 0.9),
        (a_run("predict", "ridge", "rna → adt", source="rna", target="adt"), "pearson", 0.3),
        (a_run("annotate", "logreg_balanced", "folds"), "accuracy", 0.9),
        (a_run("annotate", "logreg", "batches"), "accuracy", 0.9),
    ],
    ids=lambda value: value.name if isinstance(value, Run) else str(value),
)
def test_signal_is_found(paired, run, score, least):
    assert perform(paired, run)["scores"][score] > least


def test_pairs_use_cells_with_both_modalities(mosaic):
    run = a_run("predict", "knn", "rna → ephys", source="rna", target="ephys")
    scores = perform(mosaic, run)["scores"]
    both = len(mosaic["rna"].obs_names.intersection(mosaic["ephys"].obs_names))
    assert scores["n_train"] + scores["n_test"] == both


def test_annotation_from_one_modality_sees_no_other(paired, monkeypatch):
    def spy(fold, run):
        train, test = fold.training_cells(), fold.test_cells()
        assert list(train.mod) == list(test.mod) == ["adt"]
        return pd.DataFrame(1.0, index=test.obs_names, columns=["B"])

    monkeypatch.setitem(METHODS, "scmoe", Method(name="scmoe", annotate=spy))
    perform(paired, a_run("annotate", "scmoe", "adt only", source="adt"))
    alone = perform(paired, a_run("annotate", "logreg", "rna only", source="rna"))["scores"]
    both = perform(paired, a_run("annotate", "logreg", "folds"))["scores"]
    assert alone["log_loss"] != both["log_loss"]


def test_annotation_from_one_modality_is_of_the_cells_that_have_it(mosaic):
    scores = perform(mosaic, a_run("annotate", "logreg", "ephys only", source="ephys"))["scores"]
    truth = mosaic.obs.loc[mosaic["ephys"].obs_names, "cell_type"]
    assert scores["accuracy"] * len(truth) == pytest.approx(round(scores["accuracy"] * len(truth)))
    assert scores["accuracy"] > 0.9
