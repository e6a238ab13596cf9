import numpy as np
import pandas as pd
import pytest

from scmoe.explain import attribution_table, deletion_table
from scmoe.explain._attribution import modality_shares

NAMES = {"rna": ["g1", "g2", "g3"], "adt": ["p1", "p2"]}
SIGNED = {"rna": np.array([0.1, -0.4, 0.0]), "adt": np.array([0.3, 0.0])}
ABSOLUTE = {"rna": np.array([0.2, 0.4, 0.1]), "adt": np.array([0.3, 0.0])}


def test_largest_first():
    table = attribution_table(SIGNED, ABSOLUTE, SIGNED, NAMES)
    assert table["feature"].tolist() == ["g2", "p1", "g1", "g3", "p2"]
    assert table["rank"].tolist() == [1, 2, 3, 4, 5]
    assert table["attribution"].tolist() == [-0.4, 0.3, 0.1, 0.0, 0.0]


def test_the_first_of_each_modality_are_kept_with_their_rank():
    table = attribution_table(SIGNED, ABSOLUTE, SIGNED, NAMES, n_top=1)
    assert table[["feature", "rank"]].to_numpy().tolist() == [["g2", 1], ["p1", 2]]


def test_shares_of_modalities():
    shares = modality_shares(SIGNED, ABSOLUTE).set_index("modality")
    np.testing.assert_allclose(shares["share"], [0.7, 0.3])
    np.testing.assert_allclose(shares["attribution"], [-0.3, 0.3])
    nothing = {name: 0 * values for name, values in SIGNED.items()}
    assert modality_shares(nothing, nothing)["share"].tolist() == [0, 0]


def test_deletion_by_hand():
    values = np.array([[[4.0, 2.0, 0.0], [4.0, 4.0, 4.0]], [[2.0, 2.0, 2.0], [2.0, 2.0, 0.0]]])
    curve, summary = deletion_table(values, ["ours", "random"], [0, 0.5, 1])
    assert curve.query("ranking == 'ours'")["value"].tolist() == [3, 2, 1]
    assert curve.query("ranking == 'ours'")["drop"].tolist() == [0, 1, 2]
    assert curve.query("ranking == 'random'")["drop_se"].tolist() == [0, 0, 1]
    assert summary["area"].tolist() == [1, 0.25]
    assert summary["p_over_ours"].tolist()[0] == 1


@pytest.mark.parametrize("better", [True, False])
def test_a_better_ranking_is_told_from_an_equal_one(better):
    rng = np.random.default_rng(0)
    values = np.cumsum(-rng.random((50, 2, 4)), axis=2)
    values[:, 0] -= np.array([0, 1, 2, 3]) * better
    values[:, :, 0] = 0
    _, summary = deletion_table(values, ["ours", "random"], [0, 0.1, 0.2, 0.3])
    assert (summary["p_over_ours"][1] < 1e-6) == better


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: attribution_table(SIGNED, ABSOLUTE, SIGNED, NAMES | {"adt": ["p1"]}),
            "'adt' has 1 features; found arrays",
        ),
        (lambda: deletion_table(np.zeros((3, 2)), ["a", "b"], [0, 1]), "cells x 2 rankings x 2 shares"),
        (lambda: deletion_table(np.zeros((0, 2, 2)), ["a", "b"], [0, 1]), "at least one cell"),
        (lambda: deletion_table(np.zeros((3, 2, 2)), ["a", "b"], [0.1, 1]), "must begin with 0"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_series_are_matched_to_the_names_of_features():
    def named(arrays):
        return {name: pd.Series(values, NAMES[name])[::-1] for name, values in arrays.items()}

    expected = attribution_table(SIGNED, ABSOLUTE, SIGNED, NAMES)
    pd.testing.assert_frame_equal(attribution_table(named(SIGNED), ABSOLUTE, named(SIGNED), NAMES), expected)
    with pytest.raises(ValueError, match=r"absolute\['adt'\] must have .* 2 features, by name; it lacks 1, .* 'p2'"):
        attribution_table(SIGNED, ABSOLUTE | {"adt": pd.Series([1.0, 0.0], ["p1", "p3"])}, SIGNED, NAMES)
    shares = modality_shares(SIGNED, dict(reversed(ABSOLUTE.items())))
    pd.testing.assert_frame_equal(shares, modality_shares(SIGNED, ABSOLUTE))
