"""What is said of cells that the network did not learn from, by where they lie in the embedding."""

import numpy as np
import pytest

from scmoe.metrics import HubRatio, hub_ratio
from scmoe.readout._hubs import evenly, hubs_among, query_hubs, query_verdict, validation_verdict


@pytest.fixture
def cells():
    """Places of 200 training cells and of 60 cells like them, in 20 dimensions."""
    rng = np.random.default_rng(0)
    return rng.normal(size=(200, 20)), rng.normal(size=(60, 20))


def test_ratio_is_that_of_the_metric(cells):
    reference, others = cells
    assert hubs_among(reference, others, 0) == hub_ratio(np.vstack(cells), np.arange(260) >= 200)


def test_large_queries_are_thinned_in_equal_steps(cells):
    reference, others = cells
    query = np.repeat(others, 2, axis=0)[:100]
    assert query_hubs(reference, query, 0) == hubs_among(reference, query[evenly(100, 50)], 0)
    assert len(np.unique(evenly(100, 50))) == 50 and np.diff(evenly(100, 50)).max() == 3
    assert query_hubs(reference, others[:3], 0) == hubs_among(reference, others[:3], 0)


@pytest.mark.parametrize("sizes", [(0, 5), (5, 0)])
def test_without_cells_there_is_no_ratio(sizes):
    assert np.isnan(hubs_among(*(np.zeros((n, 3)) for n in sizes), 0)).all()


@pytest.mark.parametrize(
    ("move", "sentence"),
    [
        (lambda x: x, None),
        (lambda x: 0.5 * x, "are hubs of the embedding"),
        (lambda x: x + 50, "lie apart in the embedding"),
    ],
)
def test_validation_cells_are_judged_by_where_they_lie(cells, move, sentence):
    reference, others = cells
    found = validation_verdict(hubs_among(reference, move(others), 0), len(others))
    assert len(found) == (sentence is not None) and all(sentence in each for each in found)


def test_the_sentence_has_both_numbers():
    (sentence,) = validation_verdict(HubRatio(7.04, 4.96), 50)
    assert "(7.0 times as often as by chance neighbors of each other, and 5.0 times of training cells)" in sentence


@pytest.mark.parametrize(("ratio", "n"), [((9.0, 9.0), 19), ((np.nan, np.nan), 0), ((1.5, 1.5), 99), ((np.nan, 2), 1)])
def test_nothing_is_said_of_few_cells_and_small_ratios(ratio, n):
    assert validation_verdict(HubRatio(*ratio), n) == [] and query_verdict(HubRatio(*ratio), n) == ""


def test_a_query_that_lies_apart_has_no_hubs(cells):
    reference, others = cells
    assert query_verdict(query_hubs(reference, others + 50, 0), 60) == ""
    assert "times as often as by chance neighbors of training cells" in query_verdict(
        query_hubs(reference, 0.5 * others, 0), 60
    )
