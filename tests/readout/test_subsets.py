import pytest

from scmoe.readout._subsets import fitted_subsets, nearest_subset


@pytest.mark.parametrize(
    ("n", "expected"),
    [
        (1, [(0,)]),
        (2, [(0,), (1,), (0, 1)]),
        (3, [(0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2)]),
        (4, [(0,), (1,), (2,), (3,), (0, 1, 2), (0, 1, 3), (0, 2, 3), (1, 2, 3), (0, 1, 2, 3)]),
    ],
)
def test_which_sets_are_fitted(n, expected):
    assert fitted_subsets(n) == expected


def test_the_number_of_sets_grows_with_that_of_modalities():
    assert [len(fitted_subsets(n)) for n in (4, 8, 16)] == [9, 17, 33]


@pytest.mark.parametrize(
    ("subset", "expected"),
    [
        ((0,), (0,)),
        ((0, 1), (0,)),
        ((2, 3), (2,)),
        ((0, 1, 3), (0, 1, 3)),
        ((0, 1, 2, 3), (0, 1, 2, 3)),
        ((), None),
    ],
)
def test_the_nearest_set_is_the_largest_within(subset, expected):
    assert nearest_subset(subset, fitted_subsets(4)) == expected


def test_nothing_fitted_nothing_near():
    assert nearest_subset((0, 1), [(2,), (0, 2)]) is None
