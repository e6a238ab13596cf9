import numpy as np
import pandas as pd
import pytest

from scmoe.explain._permutation import group_codes, permute_groups, permute_modalities, stack_shares


def random_shares(n_cells: int = 40, n_experts: int = 3, seed: int = 0) -> dict[str, np.ndarray]:
    """Three modalities; a third of the cells lacks "adt", a fifth has "rna" only."""
    rng = np.random.default_rng(seed)
    shares = {name: rng.dirichlet(np.ones(n_experts), size=(n_cells, 2)) for name in ("rna", "adt", "atac")}
    shares["adt"][::3] = np.nan
    shares["adt"][::5] = shares["atac"][::5] = np.nan
    return shares


def test_first_entry_is_observed():
    shares = random_shares()
    sums = permute_modalities(stack_shares(shares), 5, seed=0)
    np.testing.assert_allclose(sums[0], [np.nansum(values, axis=0) for values in shares.values()])


def test_each_cell_s_shares_stay_with_the_modalities_it_has():
    stacked = stack_shares(random_shares(n_cells=2))[1:]
    stacked[:, 1] = np.nan
    sums = permute_modalities(stacked, 50, seed=0)
    swapped = [np.allclose(each[[0, 2]], stacked[0, [2, 0]]) for each in sums]
    kept = [np.allclose(each[[0, 2]], stacked[0, [0, 2]]) for each in sums]
    assert all(a != b for a, b in zip(swapped, kept, strict=True)) and 10 < sum(swapped) < 40
    assert not sums[:, 1].any()


def test_every_modality_may_become_every_other():
    stacked = np.eye(3)[None, :, None, :]
    sums = permute_modalities(stacked, 300, seed=0)
    np.testing.assert_allclose(sums[1:].mean(axis=0)[:, 0], np.full((3, 3), 1 / 3), atol=0.1)


def test_cells_with_one_modality_do_not_move():
    shares = random_shares()
    shares["adt"][:] = shares["atac"][:] = np.nan
    sums = permute_modalities(stack_shares(shares), 5, seed=0)
    np.testing.assert_array_equal(sums, np.broadcast_to(sums[0], sums.shape))


def test_groups_move_among_cells_that_have_the_same_modalities():
    shares = random_shares()
    stacked = stack_shares(shares)
    groups = pd.Series(np.where(np.isfinite(shares["adt"][:, 0, 0]), "a", np.resize(["a", "b"], 40)))
    names, codes = group_codes(len(groups), groups)
    observed, *permuted = permute_groups(stacked, codes, 5, seed=0)
    assert names == ["a", "b"]
    np.testing.assert_allclose([each[:, 1] for each in permuted], [observed[:, 1]] * 5)
    assert not np.allclose(permuted[0][:, 0], observed[:, 0])
    np.testing.assert_allclose(permuted[0].sum(axis=0), observed.sum(axis=0))


def test_group_sums_against_a_loop():
    shares = random_shares()
    groups = pd.Series(np.resize(["a", "b", None], 40))
    _, codes = group_codes(40, groups)
    observed = next(permute_groups(stack_shares(shares), codes, 1, seed=0))
    for g, name in enumerate("ab"):
        for v, values in enumerate(shares.values()):
            np.testing.assert_allclose(observed[g, v], np.nansum(values[(groups == name).to_numpy()], axis=0))


def test_rows_that_sum_to_less_count_alike():
    shares = random_shares()
    half = {name: values / 2 for name, values in shares.items()}
    np.testing.assert_allclose(stack_shares(half), stack_shares(shares))


@pytest.mark.parametrize(
    "shares", [{}, {"rna": np.ones((3, 2))}, {"rna": np.ones((3, 1, 2)), "adt": np.ones((3, 1, 4))}]
)
def test_bad_shapes(shares):
    with pytest.raises(ValueError, match="cells x layers x experts, of one shape"):
        stack_shares(shares)
