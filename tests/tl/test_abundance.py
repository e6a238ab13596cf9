"""Shares of cells by sample: errors where nothing differs, and what is found."""

import numpy as np
import pandas as pd
import pytest
from mudata import MuData
from scipy import stats

import scmoe
from scmoe.differential._abundance import composition_tests, weighted_benjamini_hochberg
from scmoe.differential._markers import benjamini_hochberg
from scmoe.differential._samples import Design


def design(n: int) -> Design:
    names = [f"s{i}" for i in range(n)]
    table = pd.DataFrame({"condition": ["a", "b"] * (n // 2)}, index=names)
    return Design(np.zeros(0, int), table, ["a", "b"])


def donors(mdata: MuData, n: int = 6) -> MuData:
    mdata.obs["donor"] = [f"d{i % n}" for i in range(mdata.n_obs)]
    mdata.obs["state"] = np.where(np.arange(mdata.n_obs) % n % 2, "sick", "well")
    return mdata


def table(mdata: MuData, **kwargs) -> pd.DataFrame:
    scmoe.tl.abundance(mdata, **{"condition": "state", "sample_key": "donor", **kwargs})
    return mdata.uns["scmoe"]["abundance"]


def test_samples_that_vary_make_no_difference() -> None:
    """Donors with shares of their own: a test of cells would find them, and the t-test of donors does not."""
    rng, p = np.random.default_rng(0), []
    for _ in range(150):
        shares = rng.dirichlet(np.full(5, 5.0), 8)
        counts = np.array([rng.multinomial(300, share) for share in shares]).astype(float)
        p.append(composition_tests(counts, counts.sum(1), design(8))[0]["p_value"])
    assert 0.02 < (np.concatenate(p) < 0.05).mean() < 0.08


def test_p_value_is_that_of_log_odds() -> None:
    rng = np.random.default_rng(1)
    counts = rng.poisson(30, (6, 2)).astype(float)
    row = composition_tests(counts, counts.sum(1) + 40, design(6))[0].iloc[0]
    logit = np.log((counts[:, 0] + 0.5) / (counts[:, 1] + 40 + 0.5))
    assert row["p_value"] == pytest.approx(stats.ttest_ind(logit[1::2], logit[::2]).pvalue)
    assert row["share"] == pytest.approx((counts[:, 0] / (counts.sum(1) + 40))[1::2].mean())


def test_groups_that_a_condition_lacks_are_found(paired: MuData) -> None:
    donors(paired)
    is_sick = (paired.obs["state"] == "sick").to_numpy()
    rng = np.random.default_rng(2)
    kept = ~(is_sick & (paired.obs["cell_type"] == "B").to_numpy() & (rng.random(paired.n_obs) < 0.95))
    rows = table(paired[kept].copy(), groupby="cell_type", reference="well")
    rows = rows.set_index("group")
    assert rows.loc["B", "p_adjusted"] < 0.05 and rows.loc["B", "log_fold_change"] < -1
    assert rows.loc["B", "share"] < rows.loc["B", "share_reference"]
    assert (rows["n_samples"] == 3).all()


def test_neighborhoods_follow_the_embedding(paired: MuData) -> None:
    """Where one end of the embedding is sick, neighborhoods there have more cells of that condition."""
    rng = np.random.default_rng(3)
    place = rng.uniform(size=paired.n_obs)
    is_sick = rng.random(paired.n_obs) < np.where(place > 0.5, 0.9, 0.1)
    paired.obs["state"] = np.where(is_sick, "sick", "well")
    paired.obs["donor"] = paired.obs["state"] + rng.integers(0, 4, paired.n_obs).astype(str)
    paired.obsm["X_scmoe"] = np.c_[place, place]
    rows = table(paired, parts="neighborhoods", groupby="cell_type", reference="well")
    at = pd.Series(place, paired.obs_names)[rows["cell"].astype(str)].to_numpy()
    ends = (at < 0.3) | (at > 0.7)
    assert (np.sign(rows["log_fold_change"])[ends] == np.sign(at - 0.5)[ends]).all()
    assert rows["group"].isin(["B", "NK", "T"]).all() and (rows["p_adjusted"] >= rows["p_value"] - 1e-12).all()


def test_equal_weights_are_benjamini_hochberg() -> None:
    p = np.r_[np.random.default_rng(4).random(30) ** 2, np.nan]
    np.testing.assert_allclose(weighted_benjamini_hochberg(p, np.full(31, 3.0)), benjamini_hochberg(p))
    heavy = weighted_benjamini_hochberg(np.array([0.01, 0.5, 0.9]), np.array([10.0, 1, 1]))
    assert heavy[0] < benjamini_hochberg(np.array([0.01, 0.5, 0.9]))[0]


@pytest.mark.parametrize(
    ("kwargs", "n", "match"),
    [
        ({}, 6, "groupby='cell_type'"),
        ({"groupby": "cell_type"}, 2, "2 samples or more"),
        ({"parts": "neighborhoods"}, 6, "X_scmoe"),
        ({"groupby": "type"}, 6, "not a column"),
    ],
)
def test_what_cannot_be_counted(paired: MuData, kwargs: dict, n: int, match: str) -> None:
    with pytest.raises((ValueError, KeyError), match=match):
        table(donors(paired, n), **kwargs)
