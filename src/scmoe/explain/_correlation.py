"""Correlations of many features with the use of experts, one chunk of cells at a time."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr

MIN_SQUARES = 1e-9
"""Share of a sum of squares below which what is left after taking out the mean is rounding error."""
Array = NDArray[np.float64]


class FeatureChunk(NamedTuple):
    """Some cells' values of one modality."""

    modality: str
    cells: NDArray[np.intp]
    """(n,) positions of the cells."""
    values: NDArray[np.floating]
    """(n, D) values of its features; finite."""
    observed: NDArray[np.bool_] | None
    """(n, D) which values are observed; None: all, in all chunks of the modality."""


class Correlation(NamedTuple):
    """Of D features with K columns."""

    r: Array
    """(D, K) Pearson correlations; 0 where feature or column does not vary."""
    p: Array
    """(D, K) two-sided p-values of the t-test, cells taken as independent; 1 where nothing varies."""
    n_cells: NDArray[np.int64]
    """(D,) cells with an observed value."""


class _Sums:
    """Sums by group that correlations need; the memory does not depend on the number of cells.

    Parameters
    ----------
    n_groups, n_features, n_columns
        G, D and K.
    complete
        All values are observed, so that the sums of the cells' columns need not be kept for each feature.
    """

    def __init__(self, n_groups: int, n_features: int, n_columns: int, complete: bool) -> None:
        width = 1 if complete else n_features
        self.n = np.zeros((n_groups, width))
        self.x = np.zeros((n_groups, n_features))
        self.y = np.zeros((n_groups, width, n_columns))
        self.xx = np.zeros(n_features)
        self.yy = np.zeros((width, n_columns))
        self.xy = np.zeros((n_features, n_columns))

    def add(self, x_ND: Array, observed_ND: Array, y_NK: Array, group_N: NDArray[np.intp]) -> None:
        """Add cells; `observed_ND` has one column where all values are observed."""
        for g in np.unique(group_N[group_N >= 0]):
            members = group_N == g
            x, observed, y = x_ND[members], observed_ND[members], y_NK[members]
            self.n[g] += observed.sum(axis=0)
            self.x[g] += x.sum(axis=0)
            self.y[g] += observed.T @ y
            self.xx += np.square(x).sum(axis=0)
            self.yy += observed.T @ np.square(y)
            self.xy += x.T @ y

    def correlation(self) -> Correlation:
        """Correlation after each group's own means have been taken out."""
        size = np.maximum(self.n, 1)
        squares_x = self.xx - (np.square(self.x) / size).sum(axis=0)
        squares_y = self.yy - (np.square(self.y) / size[..., None]).sum(axis=0)
        common = self.xy - sum(x[:, None] * y / n[:, None] for x, y, n in zip(self.x, self.y, size, strict=True))
        varies_x = squares_x > MIN_SQUARES * self.xx
        varies = varies_x[:, None] & (squares_y > MIN_SQUARES * self.yy)
        scale = np.sqrt(np.where(varies_x, squares_x, 1)[:, None] * np.where(varies, squares_y, 1))
        r = np.where(varies, np.clip(common / scale, -1, 1), 0.0)
        n_cells = np.broadcast_to(self.n.sum(axis=0), len(r))
        free = n_cells - (self.n > 0).sum(axis=0) - 1
        return Correlation(r, _p_value(r, free, varies), n_cells.astype(np.int64))


def correlate(
    chunks: Iterable[FeatureChunk], use: Mapping[str, Array], codings: list[NDArray[np.intp]]
) -> dict[str, list[Correlation]]:
    """Correlate the features of each modality with columns that belong to it, reading the chunks once.

    Parameters
    ----------
    chunks
        Values of the features.
    use
        Columns of each modality, (n_cells, K).
    codings
        Groups whose means are taken out, (n_cells,) each, at least one; -1: the cell is left out. With all cells in
        group 0 these are plain correlations.

    Returns
    -------
    Of each modality that the chunks hold, one `Correlation` for each of the codings.
    """
    sums: dict[str, list[_Sums]] = {}
    for chunk in chunks:
        y = use[chunk.modality]
        if chunk.modality not in sums:
            shape = (chunk.values.shape[1], y.shape[1], chunk.observed is None)
            sums[chunk.modality] = [_Sums(int(codes.max()) + 1, *shape) for codes in codings]
        x = chunk.values.astype(np.float64)
        observed = np.ones((len(x), 1)) if chunk.observed is None else chunk.observed.astype(np.float64)
        for group_sums, codes in zip(sums[chunk.modality], codings, strict=True):
            group_sums.add(x * observed, observed, y[chunk.cells], codes[chunk.cells])
    return {name: [group_sums.correlation() for group_sums in modality_sums] for name, modality_sums in sums.items()}


def _p_value(r: Array, free: Array, varies: NDArray[np.bool_]) -> Array:
    """Two-sided, from t = r sqrt(f / (1 - r²)) with f = cells - groups - 1 degrees of freedom; 1 where f is 0."""
    freedom = np.maximum(free, 1)[:, None]
    with np.errstate(divide="ignore"):
        t = np.abs(r) * np.sqrt(freedom / (1 - np.square(r)))
    return np.where(varies & (free > 0)[:, None], 2 * stdtr(freedom, -t), 1.0)
