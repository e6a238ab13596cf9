import numpy as np
import pandas as pd
import pytest
from scipy.optimize import brentq
from scipy.stats import pearsonr
from sklearn.metrics import f1_score, log_loss, r2_score
from sklearn.model_selection import StratifiedKFold
from sklearn.neighbors import KNeighborsClassifier

from scmoe.benchmark._scores import (
    embedding_scores,
    ilisi,
    knn_mixing,
    leiden_clusters,
    shared_neighbors,
)
from scmoe.benchmark._scores_held_out import label_scores, prediction_scores, uncertainty_scores
from scmoe.metrics._mixing import perplexity_weights


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def groups(rng):
    """Points of four separate groups, and the group of each."""
    group = np.arange(80) % 4
    return 20 * rng.normal(size=(4, 6))[group] + rng.normal(size=(80, 6)), group


def slow_ilisi(points, batch, k):
    scores = []
    for i in range(len(points)):
        distance = np.linalg.norm(points - points[i], axis=1)
        near = [j for j in np.argsort(distance) if j != i][:k]
        d = distance[near]

        def weights(log_b, d=d):
            w = np.exp(-np.exp(log_b) * d)
            return w / w.sum()

        log_b = brentq(lambda b: -(weights(b) * np.log(weights(b))).sum() - np.log(k // 3), -5, 5)
        share = [weights(log_b)[batch[near] == b].sum() for b in np.unique(batch)]
        scores.append(1 / np.square(share).sum())
    return (np.median(scores) - 1) / (len(np.unique(batch)) - 1)


def test_ilisi_equals_slow_reference(rng):
    points, batch = rng.normal(size=(60, 4)), rng.integers(3, size=60)
    points[batch == 0] += 0.5
    assert ilisi(points, batch, n_neighbors=30) == pytest.approx(slow_ilisi(points, batch, 30), abs=1e-6)


def test_ilisi_is_zero_where_batches_are_apart(rng):
    batch = np.repeat(["a", "b"], 50)
    points = rng.normal(size=(100, 3)) + 1000 * (batch == "a")[:, None]
    assert ilisi(points, batch, n_neighbors=20) == pytest.approx(0, abs=1e-6)


def test_weights_have_the_perplexity_asked_for(rng):
    weight = perplexity_weights(1e4 + rng.random((5, 40)), 10)
    assert weight.sum(axis=1) == pytest.approx(np.ones(5))
    assert np.exp(-(weight * np.log(weight)).sum(axis=1)) == pytest.approx(np.full(5, 10))


def test_mixing_is_one_for_random_batches_and_zero_apart(rng):
    batch = rng.integers(2, size=2000)
    assert knn_mixing(rng.normal(size=(2000, 2)), batch) == pytest.approx(1, abs=0.05)
    assert knn_mixing(1000.0 * batch[:, None] + rng.normal(size=(2000, 2)), batch) == 0


def test_shared_neighbors_equal_slow_reference(rng):
    points = rng.normal(size=(30, 3))
    near = [set(np.argsort(np.linalg.norm(points - p, axis=1))[1:6]) for p in points]
    expected = np.array([[len(a & b) / len(a | b) for b in near] for a in near])
    np.fill_diagonal(expected, 0)
    expected[expected < 1 / 15] = 0
    np.testing.assert_allclose(shared_neighbors(points, 5).toarray(), expected)


def test_leiden_has_as_many_clusters_as_asked_for(groups):
    points, group = groups
    clusters = leiden_clusters(shared_neighbors(points), 4)
    assert len(set(zip(clusters, group, strict=True))) == len(set(clusters)) == 4


def test_separate_groups_score_one(groups):
    points, group = groups
    scores = embedding_scores(points, labels=pd.Series(group.astype(str)), batch=pd.Series(group // 2))
    ones = ["leiden_ari", "leiden_nmi", "kmeans_ari", "kmeans_nmi", "knn_accuracy", "knn_macro_f1", "knn_macro_f1_5"]
    assert [scores[name] for name in ones] == pytest.approx(np.ones(len(ones)))
    assert np.isnan(scores["rare_recall"]) and scores["silhouette"] > 0.7 and scores["ilisi"] < 0.5


@pytest.mark.filterwarnings("ignore:The least populated class")
def test_neighbor_classifier_equals_loop_over_folds(rng):
    points, labels = rng.normal(size=(100, 3)), np.repeat(["a", "b", "c", "d"], [60, 30, 8, 2])
    points[:, 0] += labels == "a"
    predicted = np.empty(100, dtype=object)
    for train, test in StratifiedKFold(5, shuffle=True, random_state=3).split(points, labels):
        predicted[test] = KNeighborsClassifier(15).fit(points[train], labels[train]).predict(points[test])
    scores = embedding_scores(points, labels=pd.Series(labels), seed=3)
    assert scores["knn_accuracy"] == np.mean(predicted == labels)
    assert scores["rare_recall"] == np.mean(predicted[labels == "d"] == "d")
    assert scores["knn_macro_f1"] == pytest.approx(f1_score(labels, predicted.astype(str), average="macro"))


def test_cells_without_label_count_for_batches_only(groups):
    points, group = groups
    labels, batch = pd.Series(group.astype(str)), pd.Series(np.arange(80) // 4 % 2)
    labels[:10] = None
    moved = points.copy()
    moved[:10] += 1e4
    scores = embedding_scores(moved, labels=labels, batch=batch)
    assert scores["kmeans_ari"] == pytest.approx(1) and scores["leiden_ari"] == pytest.approx(1)
    assert set(embedding_scores(points, batch=batch)) == {"ilisi", "knn_mixing"}


def test_label_scores_equal_those_of_sklearn(rng):
    names = np.array(["a", "b", "c"])
    truth = names[rng.integers(3, size=200)]
    probability = pd.DataFrame(rng.dirichlet(np.ones(3), size=200), columns=names)
    scores = label_scores(truth, probability)
    predicted = names[probability.to_numpy().argmax(axis=1)]
    assert scores["accuracy"] == np.mean(predicted == truth)
    assert scores["macro_f1"] == scores["macro_f1_5"] == pytest.approx(f1_score(truth, predicted, average="macro"))
    assert scores["log_loss"] == pytest.approx(log_loss(truth, probability, labels=names))
    assert scores["unseen"] == 0


def test_label_that_was_not_in_training_counts_as_wrong():
    probability = pd.DataFrame({"a": [0.8, 0.6, 0.9], "b": [0.2, 0.4, 0.1], "c": [np.nan] * 3})
    scores = label_scores(["a", "b", "c"], probability)
    assert scores["accuracy"] == pytest.approx(1 / 3) and scores["unseen"] == 1
    assert scores["log_loss"] == pytest.approx(-np.log([0.8, 0.4]).mean())


def test_prediction_scores_equal_loop_over_features(rng):
    train, truth = rng.normal(size=(40, 4)), rng.normal(size=(20, 4))
    predicted = truth + rng.normal(size=(20, 4))
    train[:, 2], truth[:, 3] = 1.0, 5.0  # constant in training, and in held-out cells
    scores = prediction_scores(train, truth, predicted)
    assert (scores["n_features"], scores["n_dropped"]) == (2, 2)
    error = ((truth - predicted) ** 2).mean(axis=0)[:2]
    of_mean = ((truth - train.mean(axis=0)) ** 2).mean(axis=0)[:2]
    pairs = [(pearsonr(truth[:, i], predicted[:, i])[0], r2_score(truth[:, i], predicted[:, i])) for i in range(2)]
    assert [scores["pearson"], scores["r2"]] == pytest.approx(np.mean(pairs, axis=0))
    assert scores["nrmse"] == pytest.approx(np.mean(np.sqrt(error) / truth[:, :2].std(axis=0)))
    assert scores["skill"] == pytest.approx(np.mean(1 - error / of_mean))


def test_deviations_and_intervals_are_held_against_errors_value_by_value(rng):
    train, truth = rng.poisson(1, size=(30, 4)) * 2.0, rng.poisson(1, size=(9, 4)) * 2.0
    train[:, 1] -= 1  # has values below zero
    train[:, 2] = 4  # does not vary
    truth[0, 0] = np.nan
    predicted, sd = truth + rng.normal(size=truth.shape), rng.uniform(0.5, 2, size=truth.shape)
    predicted[0, 0] = 1
    lower, upper = predicted - sd, predicted + sd
    values, positive = [], []
    for i in range(9):
        for j in (0, 1, 3):
            if np.isnan(truth[i, j]):
                continue
            unit = train[:, j].std()
            inside = lower[i, j] <= truth[i, j] <= upper[i, j]
            row = ((sd[i, j] / unit) ** 2, ((truth[i, j] - predicted[i, j]) / unit) ** 2, inside)
            values.append(row)
            if truth[i, j] > 0 and j != 1:
                positive.append(row)
    assert 0 < len(positive) < len(values) == 26
    scores = uncertainty_scores(train, truth, predicted, sd, lower, upper)
    for suffix, rows in (("", values), ("_positive", positive)):
        spread, error, coverage = np.mean(rows, axis=0)
        assert scores[f"sd_ratio{suffix}"] == pytest.approx(np.sqrt(spread / error))
        assert scores[f"coverage_90{suffix}"] == pytest.approx(coverage)


def test_nothing_is_said_of_values_above_zero_where_there_are_none(rng):
    train, truth = rng.normal(size=(30, 2)), rng.normal(size=(9, 2))
    scores = uncertainty_scores(train, truth, truth + 1, np.ones_like(truth), truth, truth)
    assert scores["coverage_90"] == 1 and np.isfinite(scores["sd_ratio"])
    assert np.isnan([scores["sd_ratio_positive"], scores["coverage_90_positive"]]).all()
