import numpy as np

from scmoe.benchmark._timing import Meter


def test_meter_adds_up():
    meter = Meter()
    for _ in range(2):
        with meter:
            np.linalg.svd(np.random.default_rng(0).normal(size=(100, 100)))
    cost = meter.cost()
    assert cost["cpu_seconds"] > 0 and cost["wall_seconds"] > 0
    assert cost["peak_memory_gib"] >= cost["loaded_memory_gib"] > 0.05
