import torch
from hypothesis import given
from hypothesis import strategies as st

from scmoe.data._presence import locate

masks = st.lists(st.lists(st.booleans(), min_size=3, max_size=3), min_size=1, max_size=6).map(torch.tensor)


@given(masks)
def test_cells_and_pairs_are_where_the_mask_is_true(mask):
    presence = locate(mask)
    for v in range(3):
        cells = range(len(mask)) if presence.cells[v] is None else presence.cells[v].tolist()
        assert list(cells) == [b for b in range(len(mask)) if mask[b, v]]
    pairs = range(mask.numel()) if presence.pairs is None else presence.pairs.tolist()
    assert list(pairs) == [3 * b + v for b in range(len(mask)) for v in range(3) if mask[b, v]]


@given(masks)
def test_scatter_puts_selected_rows_back(mask):
    presence, x = locate(mask), torch.arange(1.0, 2 * len(mask) + 1).view(-1, 2)
    for v in range(3):
        back = presence.scatter(presence.select(x, v), v)
        assert torch.equal(back, x * mask[:, [v]])
