import numpy as np
import pandas as pd
import pytest
from scipy.stats import false_discovery_control, kstest, mannwhitneyu, pearsonr

from scmoe.explain import expert_cards_table
from scmoe.explain._correlation import FeatureChunk

N_CELLS, N_EXPERTS = 90, 3
GROUPS = pd.Series(np.resize(["B", "T", "NK"], N_CELLS))
NAMES = {"rna": [f"gene{i}" for i in range(12)], "adt": [f"protein{i}" for i in range(5)]}


def draw(seed: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Use that nothing drives, and features."""
    rng = np.random.default_rng(seed)
    usage = {name: rng.dirichlet(np.ones(N_EXPERTS), size=(N_CELLS, 1)) for name in NAMES}
    return usage, {name: rng.normal(size=(N_CELLS, len(names))) for name, names in NAMES.items()}


def cards(usage, features, groups=GROUPS, n_permutations=99, **kwargs) -> pd.DataFrame:
    """The table, features read in two chunks, from the cells that have the modality."""
    chunks = []
    for cells in np.array_split(np.arange(N_CELLS), 2):
        for name, values in features.items():
            here = cells[np.isfinite(usage[name][cells, 0, 0])]
            chunks.append(FeatureChunk(name, here, values[here], None))
    return expert_cards_table(usage, chunks, NAMES, groups, n_permutations=n_permutations, **kwargs)


def planted() -> pd.DataFrame:
    """Expert 0 is used by "rna" alone, expert 1 by T cells alone; gene 3 drives expert 0 in all cells, T cells have
    gene 5."""
    usage, features = draw(0)
    is_t = (GROUPS == "T").to_numpy()
    features["rna"][:, 5] += 5 * is_t
    first = np.clip(0.3 + 0.1 * features["rna"][:, 3], 0, 0.6)
    second = np.where(is_t, 0.3, 0.0)
    usage["rna"][:, 0] = np.stack([first, second, 1 - first - second], axis=1)
    usage["adt"][:, 0] = np.stack([0 * first, second, 1 - second], axis=1)
    return cards(usage, features)


def pick(table: pd.DataFrame, **of: object) -> pd.DataFrame:
    return table[np.logical_and.reduce([table[column] == value for column, value in of.items()])]


def test_expert_of_one_modality_is_found():
    found = pick(planted(), kind="modality", expert=0).set_index("name")
    assert found["value"].to_dict() == {"rna": 1, "adt": 0}
    assert (found["reference"] == 0.5).all() and (found["p_adjusted"] <= 0.03).all()
    shared = pick(planted(), kind="modality", expert=1)
    np.testing.assert_allclose(shared["value"], 0.5)
    assert (shared["p"] == 1).all()


def test_expert_of_one_group_is_found():
    found = pick(planted(), kind="group", expert=1, modality="adt").set_index("name")
    assert found.loc["T", ["value", "use", "use_elsewhere"]].tolist() == [1, 0.3, 0]
    assert found.loc["T", "p_adjusted"] < 1e-6 and found.loc["B", "value"] < 0.5


def test_feature_that_drives_an_expert_is_found_within_groups_too():
    found = pick(planted(), expert=0, modality="rna").set_index(["kind", "name"])
    for kind in ("feature", "feature within groups"):
        assert found.loc[kind]["value"].idxmax() == "gene3"
        assert found.loc[(kind, "gene3"), "p_adjusted"] < 1e-6


def test_marker_of_a_group_does_not_follow_use_within_it():
    usage, features = draw(0)
    is_t = (GROUPS == "T").to_numpy()
    features["rna"][:, 5] += 5 * is_t
    usage["rna"][:, 0] = np.where(is_t[:, None], [0.8, 0.1, 0.1], [0.1, 0.8, 0.1])
    usage["rna"][:, 0] += np.random.default_rng(1).uniform(0, 0.05, size=(N_CELLS, N_EXPERTS))
    found = pick(cards(usage, features), expert=0, name="gene5").set_index("kind")
    assert found.loc["feature", "value"] > 0.8 and found.loc["feature", "p_adjusted"] < 1e-6
    assert found.loc["feature within groups", "p_adjusted"] > 0.05


def test_random_ones_are_rarely_found():
    p = []
    for seed in range(200):
        table = cards(*draw(seed), n_permutations=39, seed=seed, n_top=1)
        first = table[(table["expert"] == 0) & (table["modality"] != "all modalities")]
        p.append([first.loc[first["kind"] == kind, "p"].iloc[0] for kind in ("modality", "group")])
    p = np.array(p)
    # Of 200 draws at 0.05, more than 18 have a probability below 0.01.
    assert ((p <= 0.05).sum(axis=0) <= 18).all()
    assert min(kstest(each, "uniform").pvalue for each in p.T) > 0.01


@pytest.mark.parametrize("kind", ["feature", "feature within groups"])
def test_random_features_are_rarely_found(kind):
    usage, _ = draw(0)
    values = np.random.default_rng(1).normal(size=(N_CELLS, 1000))
    chunks = [FeatureChunk("rna", np.arange(N_CELLS), values, None)]
    table = expert_cards_table(
        usage, chunks, {"rna": list(map(str, range(1000)))}, GROUPS, n_top=1000, n_permutations=1
    )
    found = pick(table, kind=kind, expert=0)
    # Of 1000 at 0.05, more than 69 have a probability below 0.004.
    assert len(found) == 1000 and (found["p"] <= 0.05).sum() <= 69
    assert kstest(found["p"], "uniform").pvalue > 0.01
    assert (found["p_adjusted"] > 0.05).all()


def test_numbers_against_scipy():
    usage, features = draw(3)
    usage["adt"][:30] = np.nan
    table = cards(usage, features, n_top=20)
    seen, is_t = np.arange(N_CELLS) >= 30, (GROUPS == "T").to_numpy()
    for expert in range(N_EXPERTS):
        u = usage["adt"][:, 0, expert]
        test = mannwhitneyu(u[seen & is_t], u[seen & ~is_t], method="asymptotic")
        row = pick(table, kind="group", expert=expert, modality="adt", name="T").iloc[0]
        assert row["value"] == pytest.approx(test.statistic / (20 * 40)) and row["p"] == pytest.approx(test.pvalue)
        assert row["n_cells"] == 20
        row = pick(table, kind="feature", expert=expert, modality="adt", name="protein2").iloc[0]
        expected = pearsonr(features["adt"][seen, 2], u[seen])
        assert (row["value"], row["p"]) == pytest.approx((expected.statistic, expected.pvalue))
        assert row["n_cells"] == 60
    for kind in ("group", "feature", "feature within groups"):
        rows = pick(table, kind=kind)
        np.testing.assert_allclose(rows["p_adjusted"], false_discovery_control(rows["p"]))


def test_adjusted_for_features_that_are_not_kept_too():
    few, all_of_them = (cards(*draw(0), n_top=n) for n in (1, 20))
    assert len(pick(few, kind="feature")) < len(pick(all_of_them, kind="feature")) == 3 * 17
    keys = ["kind", "expert", "modality", "name"]
    merged = few.merge(all_of_them, on=keys)
    np.testing.assert_array_equal(merged["p_adjusted_x"], merged["p_adjusted_y"])


def test_strongest_of_either_direction_are_kept():
    usage, features = draw(0)
    kept = pick(cards(usage, features, groups=None, n_top=2), kind="feature", expert=1, modality="rna")
    r = [np.corrcoef(features["rna"][:, d], usage["rna"][:, 0, 1])[0, 1] for d in range(12)]
    expected = np.argsort(r)[::-1][[0, 1, -2, -1]]
    assert kept["name"].tolist() == [f"gene{d}" for d in expected]


def test_shares_of_experts_and_of_modalities_sum_to_one():
    table = cards(*draw(0))
    assert pick(table, kind="expert")["value"].sum() == pytest.approx(1)
    np.testing.assert_allclose(pick(table, kind="modality").groupby("expert")["value"].sum(), 1)
    order = ["expert", "modality", "group", "feature", "feature within groups"]
    assert list(pick(table, expert=0)["kind"].unique()) == order


@pytest.mark.parametrize(
    ("groups", "kinds"), [(None, {"feature"}), (pd.Series(["B"] * N_CELLS), {"feature", "feature within groups"})]
)
def test_without_groups_to_compare_none_are_listed(groups, kinds):
    assert set(cards(*draw(0), groups=groups)["kind"]) == {"expert", "modality"} | kinds


def test_one_modality_and_an_unused_expert():
    usage, features = draw(0)
    usage = {"rna": np.concatenate([usage["rna"], np.zeros((N_CELLS, 1, 1))], axis=-1)}
    table = cards(usage, {"rna": features["rna"]})
    assert (pick(table, kind="modality")[["value", "p"]] == 1).all(axis=None)
    unused = pick(table, expert=3)
    assert set(unused["kind"]) == {"expert", "modality", "group"}
    assert (pick(unused, kind="group")[["value", "p"]] == [0.5, 1]).all(axis=None)


def test_absent_modality_has_no_rows():
    usage, features = draw(0)
    usage["adt"][:] = np.nan
    table = cards(usage, {"rna": features["rna"]})
    assert set(table["modality"]) == {"rna", "all modalities"}


def test_missing_only_where_documented():
    table = cards(*draw(0))
    columns = table.columns.difference(["use", "use_elsewhere"])
    assert table.loc[table["kind"] != "expert", columns].notna().all(axis=None)
    assert table.loc[table["kind"].isin(["modality", "group"]), ["use", "use_elsewhere"]].notna().all(axis=None)


def test_same_seed_same_table():
    pd.testing.assert_frame_equal(cards(*draw(0), seed=1), cards(*draw(0), seed=1))


@pytest.mark.parametrize("name", ["n_top", "n_permutations"])
def test_bad_numbers(name):
    with pytest.raises(ValueError, match=f"{name} must be a whole number of at least 1; found 0"):
        cards(*draw(0), **{name: 0})
