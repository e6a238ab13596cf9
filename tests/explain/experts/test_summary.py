import numpy as np
import pandas as pd
import pytest
from scipy.stats import kstest

from scmoe.explain import usage_summary, usage_table
from scmoe.explain.experts._information import entropy, mutual_information

N_CELLS = 60
GROUPS = pd.Series(np.resize(["B", "T", "NK"], N_CELLS))


def one_hot(expert: np.ndarray, n_experts: int = 4) -> np.ndarray:
    return np.eye(n_experts)[expert][:, None]


def dirichlet(seed: int, n_cells: int = N_CELLS, n_experts: int = 4) -> dict[str, np.ndarray]:
    """Modalities that use the experts alike; both of a cell resemble each other, as its input would make them."""
    rng = np.random.default_rng(seed)
    cell = rng.dirichlet(np.ones(n_experts), size=(n_cells, 1))
    return {name: (cell + rng.dirichlet(np.ones(n_experts), size=(n_cells, 1))) / 2 for name in ("rna", "adt")}


def row(table: pd.DataFrame, statistic: str, **of: object) -> pd.Series:
    """The one row of a statistic, of the soft shares unless it is said otherwise."""
    chosen = table["statistic"] == statistic
    for column, value in {"share": "soft", "by": "modality", **of}.items():
        chosen &= table[column] == value
    (found,) = (table.loc[i] for i in table.index[chosen])
    return found


def test_perfect_specialization():
    usage = {"rna": one_hot(np.zeros(N_CELLS, int)), "adt": one_hot(np.ones(N_CELLS, int))}
    table = usage_summary(usage, usage, n_permutations=99)
    for statistic in ("mutual_information", "jensen_shannon"):
        found = row(table, statistic)
        assert found["value"] == pytest.approx(np.log(2)) and found["maximum"] == pytest.approx(np.log(2))
        assert found["p"] == 0.01 and found["null_mean"] < 0.05
    dead = row(table, "dead_experts")
    assert (dead["first"], dead["value"]) == ("2, 3", 2)
    assert row(table, "row_entropy", first="rna")["value"] == 0
    assert set(table.loc[table["statistic"] == "column_entropy", "first"]) == {"0", "1"}


def test_a_group_s_own_expert_is_found_and_is_not_the_modality_s():
    usage = dict.fromkeys(("rna", "adt"), one_hot(np.where(GROUPS == "T", 1, 0)))
    table = usage_summary(usage, usage, GROUPS, n_permutations=99)
    by_hand = entropy(np.array([1 / 3, 2 / 3]))
    for modality in ("all modalities", "rna", "adt"):
        found = row(table, "mutual_information", by="group", modality=modality)
        assert found["value"] == pytest.approx(by_hand) and found["p"] == 0.01
    assert (row(table, "mutual_information")["value"], row(table, "mutual_information")["p"]) == (0, 1)


def test_statistics_are_those_of_the_table_of_shares():
    soft, hard = dirichlet(0), dirichlet(1)
    soft["adt"][:20] = hard["adt"][:20] = np.nan
    table, shares = usage_summary(soft, hard, n_permutations=5), usage_table(soft, hard)
    for kind in ("soft", "hard"):
        matrix = shares.pivot(index="modality", columns="expert", values=kind).loc[["rna", "adt"]].to_numpy()
        joint = matrix * np.array([[60], [40]])
        assert row(table, "mutual_information", share=kind)["value"] == pytest.approx(mutual_information(joint))
        for expert in range(4):
            found = row(table, "column_entropy", share=kind, first=str(expert))
            assert found["value"] == pytest.approx(entropy(matrix[:, expert]))
        for v, name in enumerate(("rna", "adt")):
            found = row(table, "row_entropy", share=kind, first=name)
            assert found["value"] == pytest.approx(entropy(matrix[v])) and found["maximum"] == pytest.approx(np.log(4))


def test_false_positives_are_as_rare_as_promised():
    p = []
    for seed in range(200):
        usage = dirichlet(seed, n_cells=30)
        table = usage_summary(usage, usage, GROUPS[:30], n_permutations=39, seed=seed)
        found = [row(table, "mutual_information", by=by, modality="all modalities") for by in ("modality", "group")]
        p.append([each["p"] for each in found])
    p = np.array(p)
    # Of 200 draws at 0.05, more than 18 have a probability below 0.01.
    assert ((p <= 0.05).sum(axis=0) <= 18).all()
    assert min(kstest(each, "uniform").pvalue for each in p.T) > 0.01


def test_what_cells_differ_in_is_no_difference_of_modalities():
    rng = np.random.default_rng(0)
    usage = {name: one_hot(rng.integers(4, size=N_CELLS)) for name in ("rna", "adt")}
    usage["rna"][::2] = np.nan
    usage["adt"][1::2] = np.nan
    found = row(usage_summary(usage, usage, n_permutations=20), "mutual_information")
    assert found["value"] > 0 and found["p"] == 1


def test_a_group_without_a_modality_is_not_taken_for_another_use():
    usage = {"rna": one_hot(np.zeros(N_CELLS, int)), "adt": one_hot(np.ones(N_CELLS, int))}
    usage["adt"][(GROUPS == "T").to_numpy()] = np.nan
    table = usage_summary(usage, usage, GROUPS, n_permutations=20)
    found = row(table, "mutual_information", by="group", modality="all modalities")
    assert found["value"] > 0 and found["p"] == 1


@pytest.mark.parametrize("degenerate", ["one modality", "one expert", "one group"])
def test_nothing_to_compare_gives_zero_and_one(degenerate):
    usage = dirichlet(0)
    groups = GROUPS if degenerate != "one group" else pd.Series(["B"] * N_CELLS)
    if degenerate == "one modality":
        del usage["adt"]
    if degenerate == "one expert":
        usage = {name: np.ones((N_CELLS, 1, 1)) for name in usage}
    table = usage_summary(usage, usage, groups, n_permutations=9)
    tested = table[table["statistic"].isin(["mutual_information", "jensen_shannon"])]
    if degenerate != "one expert":
        tested = tested[tested["by"] == ("modality" if degenerate == "one modality" else "group")]
    assert len(tested) and (tested["value"] == 0).all() and (tested["p"] == 1).all()
    assert table["value"].notna().all()


def test_absent_modality_has_no_divergence():
    usage = {**dirichlet(0), "atac": np.full((N_CELLS, 1, 4), np.nan)}
    table = usage_summary(usage, usage, n_permutations=5)
    assert set(table.loc[table["statistic"] == "jensen_shannon", "second"]) == {"adt"}


def test_seed_decides():
    usage = dirichlet(0)
    first, again, other = (usage_summary(usage, usage, GROUPS, n_permutations=20, seed=seed) for seed in (0, 0, 1))
    pd.testing.assert_frame_equal(first, again)
    assert not first["null_mean"].equals(other["null_mean"])


def test_modalities_must_match():
    usage = dirichlet(0)
    with pytest.raises(ValueError, match="must hold the same modalities"):
        usage_summary(usage, {"rna": usage["rna"]})
