import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scmoe.explain import attention_table

NAMES = ["rna", "adt", "atac"]


def mosaic_blocks(seed: int, n_cells: int = 9, n_layers: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Attention blocks of cells that each lack some modalities, and who has what."""
    rng = np.random.default_rng(seed)
    present = rng.random((n_cells, 3)) < 0.6
    present[np.arange(n_cells), rng.integers(3, size=n_cells)] = True
    blocks = np.full((n_cells, n_layers, 3, 3), np.nan)
    for cell in range(n_cells):
        kept = np.flatnonzero(present[cell])
        for layer in range(n_layers):
            blocks[cell, layer][np.ix_(kept, kept)] = rng.dirichlet(np.ones(len(kept)), size=len(kept))
    return blocks, present


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_against_loops_over_cells(seed):
    blocks, present = mosaic_blocks(seed)
    groups = pd.Series(list("ababababa"))
    n_tokens = [4, 2, 1]
    for row in attention_table(blocks, NAMES, groups, n_tokens=n_tokens).itertuples():
        query, key = NAMES.index(row.query), NAMES.index(row.key)
        cells = [c for c in range(9) if present[c, query] and row.group in ("all cells", groups[c])]
        attention = np.mean([np.nan_to_num(blocks[c, row.layer, query, key]) for c in cells])
        uniform = np.mean([n_tokens[key] * present[c, key] / (present[c] * n_tokens).sum() for c in cells])
        assert row.n_cells == len(cells)
        assert row.attention == pytest.approx(attention)
        assert np.isnan(row.ratio) if uniform == 0 else row.ratio == pytest.approx(attention / uniform)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_rows_sum_to_one(seed):
    table = attention_table(mosaic_blocks(seed)[0], NAMES)
    np.testing.assert_allclose(table.groupby(["layer", "group", "query"])["attention"].sum(), 1)


@pytest.mark.parametrize("n_heads", [1, 3])
def test_heads_and_rollout_have_rows_of_their_own(n_heads):
    heads = [mosaic_blocks(5)[0]] + [np.where(np.isnan(mosaic_blocks(5)[0]), np.nan, 1 / 3)] * (n_heads - 1)
    rollout = mosaic_blocks(6)[0]
    rollout = np.where(np.isnan(heads[0]), np.nan, rollout)
    table = attention_table(np.stack(heads, axis=2), NAMES, rollout=rollout)
    parts = {"mean": np.mean(heads, axis=0), "rollout": rollout} | {str(h): blocks for h, blocks in enumerate(heads)}
    assert set(table["head"]) == set(parts)
    for name, blocks in parts.items():
        alone = attention_table(blocks, NAMES)
        found = table[table["head"] == name].reset_index(drop=True)
        columns = ["layer", "group", "query", "key", "attention", "n_cells", "across"]
        pd.testing.assert_frame_equal(found[columns], alone[columns])


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_attention_across_modalities_against_loops_over_cells(seed):
    blocks, present = mosaic_blocks(seed)
    groups, n_tokens = pd.Series(list("ababababa")), np.array([4, 2, 1])
    for row in attention_table(blocks, NAMES, groups, n_tokens=n_tokens).itertuples():
        across, uniform = [], []
        for c in range(9):
            if row.group in ("all cells", groups[c]):
                own = np.flatnonzero(present[c])
                total = n_tokens[own].sum()
                across.append(1 - sum(n_tokens[u] * blocks[c, row.layer, u, u] for u in own) / total)
                uniform.append(1 - sum(n_tokens[u] ** 2 for u in own) / total**2)
        assert row.across == pytest.approx(np.mean(across)) and row.across_uniform == pytest.approx(np.mean(uniform))


def test_uniform_attention_through_layers_has_ratio_one_in_a_mosaic():
    """In every layer, half of a token stays and half comes from all tokens of the cell alike."""
    _, present = mosaic_blocks(3)
    rollout = np.full((9, 2, 3, 3), np.nan)
    for cell, here in enumerate(present):
        step = (np.eye(3) + here / here.sum()) / 2
        rollout[cell] = np.where(np.outer(here, here), np.stack([step, step @ (step * here[:, None])]), np.nan)
    table = attention_table(rollout, NAMES, rollout=rollout)
    np.testing.assert_allclose(table[table["head"] == "rollout"]["ratio"].dropna(), 1)
    alike = table[table["head"] == "rollout"]
    np.testing.assert_allclose(alike["across"], alike["across_uniform"])


def test_uniform_attention_has_ratio_one_in_a_mosaic():
    blocks, present = mosaic_blocks(3)
    uniform = present[:, None, :, None] * present[:, None, None, :] / present.sum(axis=1)[:, None, None, None]
    blocks = np.where(present[:, None, :, None], np.broadcast_to(uniform, blocks.shape), np.nan)
    np.testing.assert_allclose(attention_table(blocks, NAMES)["ratio"].dropna(), 1)


def test_absent_keys_may_be_nan_or_zero():
    blocks, present = mosaic_blocks(4)
    zeroed = np.where(present[:, None, :, None], np.nan_to_num(blocks), np.nan)
    pd.testing.assert_frame_equal(attention_table(blocks, NAMES), attention_table(zeroed, NAMES))


def test_modality_in_no_cell_has_no_rows():
    blocks = np.full((4, 1, 2, 2), np.nan)
    blocks[:, :, 0, 0] = 1
    table = attention_table(blocks, ["rna", "adt"])
    assert set(table["query"]) == {"rna"}
    assert table.set_index("key")["attention"].to_dict() == {"rna": 1.0, "adt": 0.0}


@pytest.mark.parametrize(
    ("shape", "n_tokens", "match"),
    [((4, 1, 2, 2), None, r"found the shape \(4, 1, 2, 2\)"), ((4, 1, 3, 3), [1, 2], "n_tokens must list")],
)
def test_bad_input(shape, n_tokens, match):
    with pytest.raises(ValueError, match=match):
        attention_table(np.zeros(shape), NAMES, n_tokens=n_tokens)


def test_rollout_must_fit_the_blocks():
    with pytest.raises(ValueError, match=r"shape \(4, 2, 3, 3\) of the blocks; found \(4, 1, 3, 3\)"):
        attention_table(np.zeros((4, 2, 5, 3, 3)), NAMES, rollout=np.zeros((4, 1, 3, 3)))


def test_numbers_of_tokens_are_matched_to_the_names_of_modalities():
    blocks = mosaic_blocks(5)[0]
    by_name = pd.Series({"atac": 1, "rna": 4, "adt": 2})
    expected = attention_table(blocks, NAMES, n_tokens=[4, 2, 1])
    pd.testing.assert_frame_equal(attention_table(blocks, NAMES, n_tokens=by_name), expected)
    with pytest.raises(
        ValueError, match="n_tokens must have .* 3 modalities, by name; it lacks 1, the first is 'atac'"
    ):
        attention_table(blocks, NAMES, n_tokens=by_name[["rna", "adt"]])
