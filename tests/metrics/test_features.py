import numpy as np
import pandas as pd
import pytest
from scipy.stats import pearsonr
from sklearn.metrics import r2_score

from scmoe.metrics import feature_scores


@pytest.fixture
def pair():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(40, 5)) + 100
    return truth, truth + rng.normal(size=truth.shape)


def test_agrees_with_scipy_and_sklearn(pair):
    truth, prediction = pair
    scores = feature_scores(truth, prediction)
    np.testing.assert_allclose(scores["pearson"], [pearsonr(truth[:, j], prediction[:, j])[0] for j in range(5)])
    np.testing.assert_allclose(scores["r2"], [r2_score(truth[:, j], prediction[:, j]) for j in range(5)])
    np.testing.assert_allclose(scores["rmse"], np.sqrt(((truth - prediction) ** 2).mean(axis=0)))


def test_missing_entries_are_left_out_one_by_one(pair):
    truth, prediction = pair
    truth, prediction = truth.copy(), prediction.copy()
    truth[3, 0] = truth[7, 1] = prediction[9, 1] = np.nan
    scores = feature_scores(truth, prediction)
    for feature in range(5):
        kept = np.isfinite(truth[:, feature]) & np.isfinite(prediction[:, feature])
        assert scores["n_cells"][feature] == kept.sum()
        expected = feature_scores(truth[kept][:, [feature]], prediction[kept][:, [feature]]).iloc[0]
        np.testing.assert_allclose(scores.loc[feature, ["pearson", "r2", "rmse"]].tolist(), expected[:3].tolist())


def test_feature_that_does_not_vary_is_dropped(pair):
    truth, prediction = pair
    truth = truth.copy()
    truth[:, 2] = 0.1
    scores = feature_scores(truth, prediction)
    assert scores["dropped"].tolist() == [False, False, True, False, False]
    assert scores.loc[2, ["pearson", "r2"]].isna().all()


def test_constant_prediction_has_no_correlation(pair):
    truth, _ = pair
    scores = feature_scores(truth, np.broadcast_to(truth.mean(axis=0), truth.shape))
    assert (scores["pearson"] == 0).all()
    np.testing.assert_allclose(scores["r2"], 0, atol=1e-12)


def test_frame_names_the_features(pair):
    truth, prediction = pair
    scores = feature_scores(pd.DataFrame(truth, columns=list("abcde")), prediction)
    assert scores.index.tolist() == list("abcde")


def test_no_cells_drop_everything():
    assert feature_scores(np.empty((0, 2)), np.empty((0, 2)))["dropped"].all()


@pytest.mark.parametrize(
    ("truth", "prediction", "match"),
    [
        (np.zeros((3, 2)), np.zeros((3, 1)), r"\(3, 2\) and \(3, 1\)"),
        (np.zeros(3), np.zeros(3), "cells x features"),
        (pd.DataFrame({"a": [1.0], "b": [1.0]}), pd.DataFrame({"c": [1.0], "a": [1.0]}), "'c' of prediction is not in"),
    ],
)
def test_bad_input(truth, prediction, match):
    with pytest.raises(ValueError, match=match):
        feature_scores(truth, prediction)
