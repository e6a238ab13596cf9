import numpy as np

from scmoe.differential._strata import CELLS, MAX_CLASSES, make_strata


def test_strata_are_of_one_batch_and_consecutive_depths() -> None:
    rng = np.random.default_rng(0)
    batches, depth = rng.integers(0, 3, 600), rng.random(600)
    strata = make_strata(batches, depth)
    ranges = [
        (batches[here].min(), batches[here].max(), depth[here].min(), depth[here].max(), here.sum())
        for here in (strata == stratum for stratum in range(strata.max() + 1))
    ]
    assert all(low == high for low, high, *_ in ranges)
    for batch in range(3):
        own = sorted((low, high) for each, _, low, high, _ in ranges if each == batch)
        assert all(one[1] < other[0] for one, other in zip(own, own[1:], strict=False))
        assert len(own) == min((batches == batch).sum() // CELLS, MAX_CLASSES)
    assert max(n for *_, n in ranges) - min(n for *_, n in ranges) <= CELLS


def test_without_depth_strata_are_batches() -> None:
    np.testing.assert_array_equal(make_strata(np.array([4, 4, 1]), None), [1, 1, 0])
    np.testing.assert_array_equal(make_strata(np.array([0, 1, 1]), np.array([3.0, 1, 2])), [0, 1, 1])
