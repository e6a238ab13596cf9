import subprocess
import sys


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
