"""What a method of the comparison gives back: embeddings, a modality, or what it makes of a mosaic."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from scmoe.benchmark._scores_held_out import prediction_scores, uncertainty_scores
from scmoe.pp._normalize import clr, log_normalize

Array = NDArray[np.floating]


@dataclass(frozen=True, kw_only=True)
class Embedding:
    """All cells as points.

    Parameters
    ----------
    points
        ``(n_cells, width)``; of a graph, its leading eigenvectors.
    graph
        Similarities of cells, for methods whose result is a graph.
    held_out
        Which cells the method kept back from its fit, ``(n_cells,)``; None if it keeps none back.
    """

    points: Array
    graph: csr_matrix | None = None
    held_out: NDArray[np.bool_] | None = None


@dataclass(frozen=True, kw_only=True)
class QueryMapping:
    """Cells that a method was fitted on, and cells that came later, as points of one space.

    Parameters
    ----------
    reference
        ``(n_reference, width)``.
    query
        ``(n_query, width)``.
    score
        How well each new cell fits, ``(n_query,)``; a share p of ordinary cells is to be below p. None: not told.
    """

    reference: Array
    query: Array
    score: Array | None = None


class Uncertainty(NamedTuple):
    """What a method says of the errors of its prediction, each of the shape of the prediction."""

    sd: Array
    """The root mean square error that it claims."""
    lower: Array
    upper: Array
    """Ends of the interval that is to hold 90 % of the values."""


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """The target of held-out cells.

    Parameters
    ----------
    values
        In the units of the target's ``X``, ``(n_cells, n_features)``.
    parts
        What `values` is a mixture of, by name.
    weight
        Share of the network in the mixture.
    uncertainty
        Standard deviations and intervals.
    """

    values: Array
    parts: dict[str, Array] | None = None
    weight: float | None = None
    uncertainty: Uncertainty | None = None

    def scores(self, train: Array, truth: Array) -> dict[str, float]:
        """Those of `prediction_scores`; of a mixture ``weight``, and ``pearson_{part}`` and ``r2_{part}`` of each part.

        With uncertainties, those of `uncertainty_scores` too.
        """
        scores = prediction_scores(train, truth, self.values)
        for name, part in (self.parts or {}).items():
            of_part = prediction_scores(train, truth, part)
            scores |= {f"{score}_{name}": of_part[score] for score in ("pearson", "r2")}
        if self.weight is not None:
            scores["weight"] = self.weight
        if self.uncertainty is not None:
            scores |= uncertainty_scores(train, truth, self.values, *self.uncertainty)
        return scores


@dataclass(frozen=True, kw_only=True)
class Integration:
    """What a method makes of a mosaic; None: nothing.

    Parameters
    ----------
    points
        Embedding of all cells; NaN in those that it has no place for.
    second, first
        The second modality of cells with the first only, and the reverse.
    """

    points: Array | None = None
    second: Prediction | None = None
    first: Prediction | None = None


def from_counts(train: Array, test: Array, kind: str, observed: Array) -> Array:
    """Expected counts as the target is normalized: cell by cell, then each feature on a line.

    The logarithm of an expected count is not the expected logarithm; the line, which fits best in training cells, makes
    up for most of that.

    Parameters
    ----------
    train, test
        Expected counts of training and of held-out cells, cells x features.
    kind
        Of the target (see `scmoe.pp.prepare`).
    observed
        The normalized target of the training cells.

    Returns
    -------
    Prediction for the held-out cells.
    """
    normalize = clr if kind == "protein" else log_normalize
    both = normalize(np.concatenate([train, test]).astype(np.float64))
    return on_lines(both[: len(train)], both[len(train) :], observed)


def on_lines(train: Array, test: Array, observed: Array) -> Array:
    """`test` with each feature on the line from `train` to `observed` that has the least squared error."""
    center, mean = train.mean(axis=0), observed.mean(axis=0)
    variation = np.square(train - center).sum(axis=0)
    slope = ((train - center) * (observed - mean)).sum(axis=0) / np.maximum(variation, np.finfo(float).tiny)
    return mean + slope * (test - center)
