"""A power law of network size and cells, fitted to losses."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import least_squares

STARTS = (0.1, 0.3, 0.6)
"""Exponents that the fit starts from; the best of all starts counts."""
MIN_LOSSES = 6
"""Fewer say nothing of five numbers."""


class Law(NamedTuple):
    """L = floor + a N^-alpha + b D^-beta, of N parameters and D cells, each over the largest of those fitted."""

    floor: float
    a: float
    alpha: float
    b: float
    beta: float

    def loss(self, parameters: ArrayLike, cells: ArrayLike) -> NDArray[np.float64]:
        """Loss of networks with these shares of the largest number of parameters, and of cells."""
        n, d = np.asarray(parameters, float), np.asarray(cells, float)
        return np.asarray(self.floor + self.a * n**-self.alpha + self.b * d**-self.beta)


def fit_law(parameters: Sequence[float], cells: Sequence[float], losses: Sequence[float]) -> Law | None:
    """The law of least squared error, all of its numbers at least 0 and exponents at most 2; None of too few losses.

    As Hoffmann et al. 2022 (`doi:10.48550/arXiv.2203.15556 <https://doi.org/10.48550/arXiv.2203.15556>`__) have it,
    with squared errors of losses in place of Huber's of logarithms.
    """
    n, d, loss = (np.asarray(values, float) for values in (parameters, cells, losses))
    if len(loss) < MIN_LOSSES:
        return None
    n, d = n / n.max(), d / d.max()
    spread = max(float(np.ptp(loss)), 1e-12)
    fits = [
        least_squares(
            lambda x: Law(*x).loss(n, d) - loss,
            [loss.min() / 2, spread, alpha, spread, beta],
            bounds=([0] * 5, [np.inf, np.inf, 2, np.inf, 2]),
        )
        for alpha in STARTS
        for beta in STARTS
    ]
    return Law(*map(float, min(fits, key=lambda fit: fit.cost).x))
