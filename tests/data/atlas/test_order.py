"""Which cells of an atlas come when, in how many processes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scmoe.data._shard import WHOLE, Shard
from scmoe.data.atlas import _order
from scmoe.data.atlas._order import AtlasOrder
from scmoe.datasets.atlas._windows import blocks_of


@given(st.lists(st.integers(1, 60), min_size=1, max_size=4), st.integers(1, 20))
def test_blocks_hold_neighboring_cells_of_one_store(sizes, length):
    blocks = blocks_of(sizes, length)
    np.testing.assert_array_equal(np.concatenate(blocks), np.arange(sum(sizes)))
    store = np.repeat(np.arange(len(sizes)), sizes)
    assert all(len(set(store[block])) == 1 and 0 < len(block) <= length for block in blocks)


@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=30),
    st.integers(4, 40),
    st.integers(1, 50),
    st.integers(1, 4),
    st.integers(0, 3),
)
def test_processes_share_the_cells_of_each_epoch(lengths, batch_size, window, n_processes, epoch):
    blocks = np.split(np.arange(sum(lengths)) + 7, np.cumsum(lengths)[:-1])
    order = AtlasOrder(blocks, batch_size, seed=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_order, "WINDOW", window)
        parts = [order.windows(epoch, Shard(rank, n_processes)) for rank in range(n_processes)]
    batches = [[batch for part in windows for batch in part] for windows in parts]
    assert {len(own) for own in batches} == {order.n_batches}
    np.testing.assert_array_equal(np.sort(np.concatenate(sum(batches, []))), np.arange(sum(lengths)) + 7)
    sizes = [sum(map(len, own)) for own in batches]
    assert max(sizes) - min(sizes) <= 1
    assert max(len(batch) for own in batches for batch in own) <= -(-batch_size // n_processes) + 1


def test_the_order_depends_on_seed_and_epoch_alone():
    blocks = np.split(np.arange(200), 20)

    def order(seed, epoch):
        return [list(map(list, window)) for window in AtlasOrder(blocks, 16, seed).windows(epoch, WHOLE)]

    assert order(0, 1) == order(0, 1)
    assert order(0, 1) != order(0, 2) != order(1, 2)


def test_a_window_is_made_of_few_blocks(monkeypatch):
    monkeypatch.setattr(_order, "WINDOW", 50)
    blocks = np.split(np.arange(400), 40)
    windows = AtlasOrder(blocks, 8, 0).windows(0, WHOLE)
    assert len(windows) == 8
    for window in windows:
        assert len({cell // 10 for batch in window for cell in batch}) <= 7
