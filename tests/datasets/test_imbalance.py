import logging

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scmoe.datasets import imbalance, imbalance_total
from scmoe.datasets._profile import largest_total, profile, shares
from scmoe.io._quiet import quiet_mudata

SIZES = {"T": 60, "B": 40, "NK": 20}


@pytest.fixture
def typed(raw):
    """Three types of 60, 40 and 20 cells, in a random order."""
    rng = np.random.default_rng(0)
    raw.obs["type"] = pd.Categorical(rng.permutation(np.repeat(list(SIZES), list(SIZES.values()))))
    return raw


def kept(data) -> dict[str, int]:
    return data.obs["type"].value_counts().to_dict()


@given(n_types=st.integers(2, 40), rho=st.floats(1, 1000), n_total=st.integers(1, 5000))
def test_profile_follows_the_formula_and_keeps_the_total(n_types, rho, n_total):
    found = profile(n_types, rho, n_total)
    first = n_total / sum(rho ** (-(r - 1) / (n_types - 1)) for r in range(1, n_types + 1))
    exact = [first * rho ** (-(r - 1) / (n_types - 1)) for r in range(1, n_types + 1)]
    assert found.sum() == n_total
    assert (np.abs(found - exact) < 1 + 1e-6).all() and (np.diff(found) <= 0).all()


@given(sizes=st.lists(st.integers(1, 500), min_size=2, max_size=8), rho=st.floats(1, 200))
def test_largest_total_is_the_largest(sizes, rho):
    def possible(total):
        exact = total * shares(len(sizes), rho) / shares(len(sizes), rho).sum()
        return (exact <= np.array(sizes) * (1 + 1e-9)).all()

    total = largest_total(pd.Series(sizes), [rho])
    assert possible(total) and not possible(total + 1)
    assert (profile(len(sizes), rho, total) <= sizes).all()


def test_total_is_the_same_for_every_factor_and_the_draws_are_nested(typed):
    drawn = {rho: imbalance(typed, "type", rho, min_cells=1) for rho in (1, 10, 50, 100)}
    assert {data.n_obs for data in drawn.values()} == {60} == {imbalance_total(typed, "type")}
    assert kept(drawn[1]) == {"T": 20, "B": 20, "NK": 20}
    names = [set(drawn[rho].obs_names[drawn[rho].obs["type"] == "NK"]) for rho in (1, 10, 50)]
    assert names[0] > names[1] > names[2]


def test_order_decides_which_types_are_frequent(typed):
    out = imbalance(typed, "type", 4, n_total=35, order=["NK", "B", "T"])
    assert kept(out) == {"NK": 20, "B": 10, "T": 5}
    orders = {tuple(kept(imbalance(typed, "type", 4, n_total=35, order="random", seed=seed))) for seed in range(8)}
    assert len(orders) > 3


def test_an_order_of_numbers_is_one_of_their_names(typed):
    typed.obs["number"] = typed.obs["type"].astype(str).map({"T": 0, "B": 1, "NK": 2})
    out = imbalance(typed, "number", 2, n_total=30, order=[0, 2])
    assert out.obs["number"].value_counts().to_dict() == {0: 20, 2: 10}


def test_types_that_the_order_does_not_name_are_left_out(typed, caplog):
    caplog.set_level(logging.INFO, logger="scmoe")
    logging.getLogger("scmoe").addHandler(caplog.handler)
    assert kept(imbalance(typed, "type", 2, n_total=30, order=["T", "NK"])) == {"T": 20, "NK": 10}
    assert "left out: B" in caplog.text


def test_unknown_cells_are_left_out(typed):
    typed.obs["type"] = typed.obs["type"].astype(str).where(typed.obs["type"] != "B", "Unknown")
    assert kept(imbalance(typed, "type", 2, n_total=30)) == {"T": 20, "NK": 10}


def test_input_stays_and_the_profile_is_recorded(typed, contents, tmp_path):
    before = contents(typed)
    out = imbalance(typed, "type", 4, n_total=35)
    assert contents(typed) == before
    record = out.uns["scmoe"]["imbalance"]
    assert (record["rho"], record["n_total"]) == (4, 35)
    assert record["types"].to_dict("list") == {
        "label": ["T", "B", "NK"],
        "rank": [1, 2, 3],
        "available": [60, 40, 20],
        "n_cells": [20, 10, 5],
    }
    with quiet_mudata():
        out.write_h5mu(tmp_path / "out.h5mu")


def test_adata_gives_the_same_cells(typed):
    adata = typed["rna"].copy()
    adata.obs["type"] = typed.obs["type"]
    assert imbalance(adata, "type", 4, n_total=35).obs_names.equals(imbalance(typed, "type", 4, n_total=35).obs_names)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"rho": 0.5}, "rho must be a number of at least 1"),
        ({"rho": "50"}, "rho must be a number of at least 1; found '50'"),
        ({"rho": 2, "n_total": 90.0}, "n_total must be a whole number of at least 1 or None; found 90.0"),
        ({"rho": 4, "order": "size"}, "'natural', 'random' or a list"),
        ({"rho": 4, "order": ["T"]}, "at least two types"),
        ({"rho": 4, "order": ["T", "B", "T"]}, "each type once"),
        ({"rho": 4, "n_total": 0}, "at least 1"),
        ({"rho": 4, "n_total": 200}, "'T' has 60 cells and would need 114 .* Pass n_total=105 or less"),
        ({"rho": 50}, r"'NK', would keep 1 cells, fewer than min_cells=5 .* 257 cells in all .* which has 60"),
        ({"rho": 10, "n_total": 40}, r"'NK', would keep 3 cells, .* from 64 to 84, which rho=10 alone allows"),
    ],
)
def test_impossible_requests_name_the_type_and_its_cells(typed, arguments, match):
    with pytest.raises((TypeError, ValueError), match=match):
        imbalance(typed, "type", **arguments)


def test_unknown_type_and_no_factor(typed):
    with pytest.raises(KeyError, match="order names 'pDC'"):
        imbalance(typed, "type", 2, order=["pDC", "T"])
    with pytest.raises(ValueError, match="at least one factor"):
        imbalance_total(typed, "type", [])


def test_factors_and_orders_are_lists(raw):
    with pytest.raises(TypeError, match="rhos must be a list of numbers; found 50"):
        imbalance_total(raw, "cell_type", 50)
    with pytest.raises(TypeError, match="A set has no order"):
        imbalance_total(raw, "cell_type", order={"B", "T"})


def test_notes_in_place_of_records_are_refused(typed):
    typed.uns["scmoe"] = "mine"
    with pytest.raises(ValueError, match=r"uns\['scmoe'\] must be free for results; found a str"):
        imbalance(typed, "type", 5)
