"""Markdown and figures of `scmoe.benchmark.run_genes_cost`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from scipy import stats

from scmoe.benchmark._genes_cost_measure import DENSE, OURS, PERFORMER, PUBLISHED, SHORTCUT, ZEROS
from scmoe.pl._save import show_or_save

COLORS = {OURS: "C0", PUBLISHED: "C1", PERFORMER: "C2", DENSE: "C3"}
BAR_GENES, FLOPS_BAR, DENSE_BAR, SPEED_BAR = 10_000, 1 / 3, 1 / 20, 2
"""What the asymmetric network should reach, at 90 % zeros."""
PAPER = {PERFORMER: 1.06e12 / 9.86e12, PUBLISHED: 3.35e11 / 9.86e12}
"""Operations in the paper's Table 1 as a share of the Transformer's."""
PAPER_GENES = 19_264
PAPER_PRESET = "10m"


def operations_of(
    result: Mapping[str, Any], preset: str, n_genes: int, zeros: float, form: str, batch: int | None = None
) -> float:
    """GFLOPs of a training step for a cell."""
    wanted = {"preset": preset, "n_genes": n_genes, "zeros": zeros, "form": form}
    if form in (OURS, SHORTCUT):
        wanted["batch"] = result["settings"]["batches"][0] if batch is None else batch
    return next(row["gflops"] for row in result["operations"] if wanted.items() <= row.items())


def step_of(result: Mapping[str, Any], preset: str, n_genes: int, zeros: float, form: str) -> Mapping[str, Any] | None:
    """The measured row, if there is one; of networks over all genes there is one for all shares of zeros."""
    zeros = zeros if form in (OURS, PUBLISHED) else ZEROS
    wanted = {"preset": preset, "n_genes": n_genes, "zeros": zeros, "form": form}
    return next((row for row in result["steps"] if wanted.items() <= row.items()), None)
