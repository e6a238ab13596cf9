"""The arithmetic that the statistics and the network share. NumPy only."""

import numpy as np

TOTAL = 1e4
"""Counts are shown to the network as log1p(TOTAL · count / cell total)."""
CLIP = 10.0
"""Standardized values are clipped to ± this, so that one outlier cannot dominate a cell."""


def log_normalize(counts: np.ndarray) -> np.ndarray:
    """log1p of (B, D) counts scaled to the same total in every cell; zeros for a cell without counts."""
    total = counts.sum(1, keepdims=True)
    return np.log1p(counts * np.divide(TOTAL, total, where=total > 0, out=np.zeros_like(total)))
