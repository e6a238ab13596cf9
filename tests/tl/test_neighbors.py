import subprocess
import sys

import numpy as np
import pytest

from scmoe.tl._neighbors import neighbor_graph


def test_the_threads_of_torch_are_left_alone():
    # In a fresh process, because numba takes the threads once only.
    script = """
import numpy as np, torch
from scmoe.tl._neighbors import neighbor_graph
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
    monkeypatch.setattr("scmoe.tl._neighbors.N_EXACT", 300)
    found = neighbor_graph(points, 0).obsp["connectivities"]
    assert (found > 0).multiply(exact > 0).sum() > 0.9 * (exact > 0).sum()
    assert abs(neighbor_graph(points, 0).obsp["connectivities"] - found).max() == 0
