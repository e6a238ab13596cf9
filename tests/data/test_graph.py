import numpy as np
import pytest

from scmoe.data._dataset import MosaicDataset
from scmoe.data._graph import N_NEIGHBORS, NeighborGraph, draw_by_weight, transitions
from scmoe.data._setup import Setup
from scmoe.data.statistics._statistics import component_scores, fit_scale, fit_statistics


@pytest.fixture(params=[None, "batch"], ids=["uncorrected", "corrected"])
def dataset(mosaic, request) -> MosaicDataset:
    return MosaicDataset(mosaic, Setup.from_mudata(mosaic, batch_key=request.param))


def graph_of(dataset: MosaicDataset, cells: np.ndarray) -> NeighborGraph:
    covariates = fit_scale(dataset, cells)
    statistics = [fit_statistics(dataset, cells, v, 5, covariates, seed=0) for v in range(3)]
    return NeighborGraph(dataset, cells, statistics, covariates, seed=0)


def slow_transitions(points: np.ndarray) -> np.ndarray:
    distance = np.linalg.norm(points[:, None] - points[None], axis=2)
    k, n = min(N_NEIGHBORS, len(points) - 1), len(points)
    nearest = [sorted(set(range(n)) - {i}, key=lambda j, i=i: distance[i, j])[:k] for i in range(n)]
    scale = [np.mean([distance[i, j] for j in nearest[i]]) for i in range(n)]
    weight = np.eye(n)
    for i in range(n):
        for j in nearest[i]:
            weight[i, j] = np.exp(-(distance[i, j] ** 2) / (scale[i] * scale[j]))
    return weight / weight.sum(1, keepdims=True)


def dense_transitions(points: np.ndarray) -> np.ndarray:
    (neighbor, weight), n = transitions(points, 0), len(points)
    dense = np.zeros((n, n))
    dense[np.arange(n)[:, None], neighbor] = weight
    return dense


@pytest.mark.parametrize("n", [2, 10, 40])
def test_transitions_equal_the_slow_form(n):
    points = np.random.default_rng(0).normal(size=(n, 3))
    np.testing.assert_allclose(dense_transitions(points), slow_transitions(points), rtol=1e-5)


def test_graph_is_the_sum_over_the_modalities_of_the_cells_that_have_them(dataset):
    cells = np.arange(10, 110)
    expected, covariates = np.zeros((len(dataset), len(dataset))), fit_scale(dataset, cells)
    for v in range(3):
        here = cells[dataset.present[cells, v]]
        found = fit_statistics(dataset, cells, v, 5, covariates, seed=0)
        step = slow_transitions(component_scores(dataset, here, v, found, covariates))
        expected[np.ix_(here, here)] += step @ step.T
    np.fill_diagonal(expected, 0)
    some = np.array([5, 100, 20, 70, 21])
    np.testing.assert_allclose(
        graph_of(dataset, cells).similarity(some), expected[np.ix_(some, some)], rtol=2e-3, atol=1e-6
    )


def test_other_cells_are_neither_looked_at_nor_linked(dataset, mosaic):
    cells, every = np.arange(60), np.arange(len(dataset))
    found = graph_of(dataset, cells).similarity(every)
    assert not found[60:].any() and not found[:, 60:].any() and found.any()
    other = mosaic.obs_names[60:]
    for adata in mosaic.mod.values():
        adata.X[adata.obs_names.isin(other)] *= 1.5
    changed = graph_of(MosaicDataset(mosaic, dataset.setup), cells).similarity(every)
    np.testing.assert_array_equal(changed, found)


def test_positions_are_drawn_by_weight():
    weight, length, rng = np.array([0, 3, 1, 5, 2, 1, 1, 0]), np.array([3, 1, 4]), np.random.default_rng(0)
    drawn = np.stack([draw_by_weight(weight, length, rng) for _ in range(4000)])
    share = np.stack([(drawn == position).mean(0) for position in range(4)], axis=1)
    np.testing.assert_allclose(share, [[0, 0.75, 0.25, 0], [1, 0, 0, 0], [0.5, 0.25, 0.25, 0]], atol=0.03)


def test_partners_are_drawn_as_often_as_the_walk_says(dataset):
    cells, rng = np.arange(10, 40), np.random.default_rng(0)
    graph, expected, covariates = graph_of(dataset, cells), np.zeros((30, 30)), fit_scale(dataset, cells)
    for v in range(3):
        is_here = dataset.present[cells, v]
        statistics = fit_statistics(dataset, cells, v, 5, covariates, seed=0)
        step = slow_transitions(component_scores(dataset, cells[is_here], v, statistics, covariates))
        expected[np.ix_(is_here, is_here)] += step @ (step.T / step.T.sum(1, keepdims=True)) / 3
        expected[~is_here, ~is_here] += 1 / 3
    drawn = np.stack([graph.draw(cells, rng) for _ in range(6000)]) - 10
    share = np.stack([(drawn == cell).mean(0) for cell in range(30)], axis=1)
    np.testing.assert_allclose(share, expected, atol=0.035)


def test_drawn_cells_are_similar(dataset):
    cells, rng = np.arange(len(dataset)), np.random.default_rng(0)
    graph = graph_of(dataset, cells)
    drawn, similar = graph.draw(cells, rng), graph.similarity(cells) > 0
    assert (similar[cells, drawn] | (drawn == cells)).all()
    assert (drawn != cells).mean() > 0.5


def test_a_cell_outside_the_graph_draws_itself(dataset):
    graph = graph_of(dataset, np.arange(60))
    assert graph.draw(np.array([90, 61]), np.random.default_rng(0)).tolist() == [90, 61]


@pytest.mark.timeout(400)  # numba compiles the search
def test_very_many_cells_are_searched_approximately(monkeypatch):
    points = np.random.default_rng(0).normal(size=(400, 3)).astype(np.float32)
    points[:30] = points[0]  # more cells in one place than have neighbors
    exact = dense_transitions(points)
    monkeypatch.setattr("scmoe.data._nearest.N_EXACT", 100)
    approximate = dense_transitions(points)
    neighbor = transitions(points, 0)[0]
    assert all(len({*row}) == N_NEIGHBORS + 1 and row[0] == i for i, row in enumerate(neighbor))
    shared = ((exact[30:] > 0) & (approximate[30:] > 0)).sum()
    assert shared > 0.95 * (exact[30:] > 0).sum()
