import numpy as np
import pandas as pd
import pytest
from scipy.stats import kstest

from scmoe.explain import stability_table, usage_summary

N_CELLS, N_EXPERTS = 60, 4


def draw(seed: int, n_cells: int = N_CELLS, n_experts: int = N_EXPERTS, n_layers: int = 1) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {name: rng.dirichlet(np.ones(n_experts), size=(n_cells, n_layers)) for name in ("rna", "adt")}


def of(table: pd.DataFrame, statistic: str) -> pd.DataFrame:
    return table[table["statistic"] == statistic]


def test_planted_permutation_is_recovered():
    one, order = draw(0), [2, 0, 3, 1]
    one["adt"][:20] = np.nan
    table = stability_table({"a": one, "b": {name: u[..., order] for name, u in one.items()}}, n_permutations=99)
    matched = of(table, "matched_correlation")
    assert [order[int(partner)] for partner in matched["second"]] == matched["first"].astype(int).tolist()
    np.testing.assert_allclose(matched["value"], 1)
    assert (matched["p"] == 0.01).all() and (matched["null_mean"] < 0.4).all()
    assert of(table, "mean_correlation")["value"].item() == pytest.approx(1)


def test_correlations_against_numpy():
    one, two = draw(0), draw(1)
    one["adt"][::3] = two["adt"][::3] = np.nan
    table = stability_table({"a": one, "b": two}, n_permutations=5)
    units = [np.concatenate([u["rna"][:, 0], u["adt"][np.arange(N_CELLS) % 3 != 0, 0]]) for u in (one, two)]
    for row in of(table, "matched_correlation").itertuples():
        expected = np.corrcoef(units[0][:, int(row.first)], units[1][:, int(row.second)])[0, 1]
        assert row.value == pytest.approx(expected)


def test_unrelated_models_are_not_found_alike():
    tables = [
        stability_table({"a": draw(2 * i, 30, 3), "b": draw(2 * i + 1, 30, 3)}, n_permutations=39, seed=i)
        for i in range(200)
    ]
    p = np.array([of(table, "mean_correlation")["p"].item() for table in tables])
    # Of 200 draws at 0.05, more than 18 have a probability below 0.01.
    assert (p <= 0.05).sum() <= 18
    assert kstest(p, "uniform").pvalue > 0.01


def test_shared_preference_for_modalities_is_in_the_null():
    modality = {"rna": np.array([0.9, 0.1]), "adt": np.array([0.1, 0.9])}
    models = {}
    for i in range(2):
        noise = np.random.default_rng(i).normal(scale=0.01, size=(2, N_CELLS, 1))
        models[str(i)] = {name: mean + noise[v, ..., None] * [1, -1] for v, (name, mean) in enumerate(modality.items())}
    found = of(stability_table(models, n_permutations=99), "mean_correlation").iloc[0]
    assert found["value"] > 0.99 and found["null_mean"] > 0.99 and found["p"] > 0.05


def test_expert_that_does_not_vary_has_no_correlation():
    one = {name: np.concatenate([u * 0.9, np.full_like(u[..., :1], 0.1)], axis=-1) for name, u in draw(0).items()}
    matched = of(stability_table({"a": one, "b": one}, n_permutations=9), "matched_correlation")
    assert matched.loc[matched["first"] == "4", ["value", "p"]].to_numpy().tolist() == [[0, 1]]


def test_statistics_that_need_no_matching_are_those_of_the_summary():
    one, two = draw(0, n_layers=2), draw(1, n_layers=2)
    table = stability_table({"a": one, "b": two}, layer=-1, n_permutations=20, seed=4)
    for name, usage in (("a", one), ("b", two)):
        summary = usage_summary(usage, usage, n_permutations=20, seed=4).query("share == 'soft' and layer == 1")
        for statistic in ("mutual_information", "jensen_shannon"):
            found = table[(table["statistic"] == statistic) & (table["model"] == name)]
            columns = ["first", "second", "value", "null_mean", "p"]
            expected = summary.loc[summary["statistic"] == statistic, columns]
            pd.testing.assert_frame_equal(found[columns].reset_index(drop=True), expected.reset_index(drop=True))


def test_all_pairs_and_reproducible():
    models = {name: draw(i) for i, name in enumerate("abc")}
    table = stability_table(models, n_permutations=9)
    means = of(table, "mean_correlation")
    assert list(zip(means["model"], means["other"], strict=True)) == [("a", "b"), ("a", "c"), ("b", "c")]
    assert len(of(table, "matched_correlation")) == 3 * N_EXPERTS
    assert table.notna().all(axis=None)
    pd.testing.assert_frame_equal(table, stability_table(models, n_permutations=9))


@pytest.mark.parametrize(
    ("other", "layer", "error", "match"),
    [
        (None, -1, ValueError, "at least two models; found a"),
        (draw(1, n_experts=5), -1, ValueError, "must agree in numbers of experts to be matched; found 4 and 5"),
        (draw(1, n_cells=7), -1, ValueError, "must agree in numbers of cells"),
        ({"rna": draw(1)["rna"]}, -1, ValueError, r"must agree in modalities to be matched; found \['rna', 'adt'\]"),
        ({**draw(1), "adt": np.full((N_CELLS, 1, 4), np.nan)}, -1, ValueError, "same modalities of the same cells"),
        (draw(1), 1, KeyError, "Model 'a' has no layer 1; it has 1"),
    ],
)
def test_bad_input(other, layer, error, match):
    usages = {"a": draw(0)} if other is None else {"a": draw(0), "b": other}
    with pytest.raises(error, match=match):
        stability_table(usages, layer=layer)
