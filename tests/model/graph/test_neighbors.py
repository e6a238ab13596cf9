import subprocess
import sys

import numpy as np
import pytest
from anndata import AnnData
from sklearn.metrics import adjusted_rand_score
from sklearn.neighbors import KNeighborsClassifier

from scmoe.model.graph._clusters import leiden
from scmoe.model.graph._neighbors import find_leaders, neighbor_graph
from scmoe.tl._umap import umap


def test_the_threads_of_torch_are_left_alone():
    # In a fresh process, because numba takes the threads once only.
    script = """
import numpy as np, torch
from scmoe.model.graph._neighbors import neighbor_graph
torch.set_num_threads(1)
neighbor_graph(np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32), seed=0)
print(torch.get_num_threads())
"""
    result = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert result.stdout.strip() == "1"


@pytest.mark.timeout(400)  # numba compiles the search
def test_many_cells_are_searched_approximately(monkeypatch):
    points = np.random.default_rng(0).normal(size=(300, 4)).astype(np.float32)
    exact = neighbor_graph(points, 0).obsp["connectivities"]
    monkeypatch.setattr("scmoe.model.graph._neighbors.N_EXACT", 300)
    found = neighbor_graph(points, 0).obsp["connectivities"]
    assert (found > 0).multiply(exact > 0).sum() > 0.9 * (exact > 0).sum()
    assert abs(neighbor_graph(points, 0).obsp["connectivities"] - found).max() == 0


def blobs(n: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    kind = rng.integers(3, size=n)
    return (rng.normal(size=(n, 5)) + 12 * np.eye(5)[kind]).astype(np.float32), kind


def test_cells_beyond_the_limit_follow_their_nearest(monkeypatch, caplog):
    points, kind = blobs(400)
    monkeypatch.setattr("scmoe.model.graph._neighbors.MAX_CELLS", 150)
    leaders = find_leaders(points, 0, "Clusters are found")
    np.testing.assert_array_equal(np.sort(np.concatenate([leaders.cells, leaders.others])), np.arange(400))
    assert len(leaders.cells) == 150
    distance = np.linalg.norm(points[leaders.others, None] - points[leaders.cells], axis=2)
    np.testing.assert_array_equal(np.sort(leaders.nearest), np.sort(distance.argsort(1)[:, :15]))
    labels = leiden(points, 0.1, 0)
    assert adjusted_rand_score(labels, kind) == 1
    assert "Clusters are found of 150 random cells; the other 250 follow the nearest of them" in caplog.text


def test_map_of_more_cells_than_are_laid_out(monkeypatch):
    points, kind = blobs(300)
    adata = AnnData(np.ones((300, 1)), obsm={"X_scmoe": points})
    monkeypatch.setattr("scmoe.model.graph._neighbors.MAX_CELLS", 150)
    umap(adata)
    places = adata.obsm["X_umap"]
    assert np.isfinite(places).all()
    assert KNeighborsClassifier(5).fit(places, kind).score(places, kind) == 1
