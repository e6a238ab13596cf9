import numpy as np
import pandas as pd
import pytest

from scmoe.explain._token_attention import token_table

GROUPS = pd.Series(["a", "b", None, "a", "b"])


@pytest.fixture
def blocks() -> np.ndarray:
    """Five cells, two layers, two modalities of two tokens; the last cell lacks the second modality."""
    rng = np.random.default_rng(0)
    values = rng.random((5, 2, 4, 4))
    values[4, :, :, 2:] = 0
    values /= values.sum(-1, keepdims=True)
    values[4, :, 2:] = np.nan
    return values


@pytest.mark.parametrize("sizes", [[5], [2, 3], [1, 1, 1, 1, 1]])
def test_it_is_the_mean_over_cells_that_have_the_query(blocks, sizes):
    table = token_table(np.split(blocks, np.cumsum(sizes)[:-1]), ["rna", "adt"], GROUPS)
    names = ["rna 0", "rna 1", "adt 0", "adt 1"]
    for _, row in table.iterrows():
        cells = np.arange(5) if row["group"] == "all cells" else np.flatnonzero(GROUPS == row["group"])
        i, j = names.index(row["query"]), names.index(row["key"])
        here = [c for c in cells if np.isfinite(blocks[c, row["layer"], i, i])]
        observed = [blocks[c, row["layer"], i, j] for c in here]
        uniform = [0 if c == 4 and j > 1 else 0.5 if c == 4 else 0.25 for c in here]
        assert row["n_cells"] == len(here)
        np.testing.assert_allclose(row["attention"], np.mean(observed))
        np.testing.assert_allclose(row["ratio"], np.sum(observed) / np.sum(uniform) if np.sum(uniform) else np.nan)
    assert len(table) == 2 * 3 * 16


def test_uniform_attention_has_a_ratio_of_one():
    table = token_table([np.full((3, 1, 6, 6), 1 / 6)], ["rna", "adt"])
    np.testing.assert_allclose(table["ratio"], 1)
