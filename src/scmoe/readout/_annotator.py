"""Labels of cells from features that were made without labels: a calibrated mixture of softmax regressions."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import softmax

from scmoe.losses._class_balance import DEFAULT_BALANCE, ClassBalance
from scmoe.readout._held_out import hold_out, split_labels
from scmoe.readout._softmax import fit_softmax
from scmoe.readout._weights import SMALLEST, choose_weights

MIN_TEMPERATURE, MAX_TEMPERATURE = 0.5, 10.0
"""Where kinds of cells are far apart, held-out cells alone would let every probability be 1."""
ARRAYS = ("present", "weights", "temperature", "member_log_loss", "log_loss", "truth", "predicted", "confidence")


@dataclass(frozen=True, kw_only=True)
class Annotator:
    """Probabilities of labels: one linear classifier for each view of the cells, mixed and calibrated.

    p = softmax(log(Σ_m weight_m · softmax(view_m @ coefficients_m + intercepts_m)) / temperature)

    Parameters
    ----------
    coefficients
        For each of the M views, (d_m, K), for the K labels that are in the training cells.
    intercepts
        For each view, (K,).
    present
        (n_labels,) whether a label is in the training cells.
    weights
        (M,) weights of the views' classifiers; they sum to 1.
    temperature
        Above 1: the mixture was too sure of itself on held-out cells; below 1: not sure enough.
    member_log_loss
        (M,) log-loss of each classifier on held-out training cells; NaN if no label has two cells.
    log_loss
        That of the annotator, with weights and temperature.
    truth, predicted
        (R,) codes of the labels of held-out training cells, their own and the most probable.
    confidence
        (R,) probabilities of the latter.
    """

    coefficients: tuple[NDArray[np.float64], ...]
    intercepts: tuple[NDArray[np.float64], ...]
    present: NDArray[np.bool_]
    weights: NDArray[np.float64]
    temperature: float
    member_log_loss: NDArray[np.float64]
    log_loss: float
    truth: NDArray[np.integer]
    predicted: NDArray[np.integer]
    confidence: NDArray[np.float64]

    def predict(self, views: Sequence[np.ndarray]) -> NDArray[np.float32]:
        """Probabilities of all labels.

        Parameters
        ----------
        views
            For each view, (n, d_m), made as those at the fit.

        Returns
        -------
        (n, n_labels); rows sum to 1, and labels that no training cell had are 0.

        Raises
        ------
        ValueError
            The views do not fit those of the training, or hold values that are not numbers.
        """
        widths = [len(coefficients) for coefficients in self.coefficients]
        if [np.shape(view)[1:] for view in views] != [(width,) for width in widths]:
            shapes = [np.shape(view) for view in views]
            raise ValueError(f"Expected {len(widths)} views of (cells, {widths}) features; found shapes {shapes}.")
        check_views(views, len(views[0]))
        members = zip(views, self.coefficients, self.intercepts, strict=True)
        probabilities = [softmax(view @ slope + start, axis=1) for view, slope, start in members]
        out = np.zeros((len(views[0]), len(self.present)), dtype=np.float32)
        out[:, self.present] = temper(np.tensordot(self.weights, probabilities, axes=1), self.temperature)
        return out

    def to_arrays(self) -> dict[str, np.ndarray]:
        """What `from_arrays` needs."""
        arrays = {name: np.asarray(getattr(self, name)) for name in ARRAYS}
        for m, (slope, start) in enumerate(zip(self.coefficients, self.intercepts, strict=True)):
            arrays |= {f"coefficients_{m}": slope, f"intercepts_{m}": start}
        return arrays

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> "Annotator":
        """The inverse of `to_arrays`."""
        members = range(len(arrays["weights"]))
        return cls(
            coefficients=tuple(arrays[f"coefficients_{m}"] for m in members),
            intercepts=tuple(arrays[f"intercepts_{m}"] for m in members),
            present=arrays["present"],
            weights=arrays["weights"],
            temperature=float(arrays["temperature"]),
            member_log_loss=arrays["member_log_loss"],
            log_loss=float(arrays["log_loss"]),
            truth=arrays["truth"],
            predicted=arrays["predicted"],
            confidence=arrays["confidence"],
        )


def fit_annotator(
    views: Sequence[np.ndarray],
    labels: np.ndarray,
    n_labels: int,
    seed: int,
    class_balance: ClassBalance = DEFAULT_BALANCE,
    judges: NDArray[np.bool_] | None = None,
) -> Annotator:
    """Learn labels from several views of the same cells.

    Each view gets a softmax regression, in which labels with few cells count as `class_balance` has it. The views'
    weights minimize the log-loss of the mixture on held-out training cells (5 folds). If weights chosen so do not serve
    cells that they were not chosen on better than the first view alone, the first view is used alone. Where no label
    has two cells, nothing can be held out, and all views count alike. Last, one temperature calibrates the
    probabilities on the same held-out cells.

    Parameters
    ----------
    views
        For each view, (n, d_m) features made without labels, in any unit; the safest first, such as component scores.
    labels
        (n,) codes from 0 to n_labels - 1; -1 for cells without a label, which are not looked at.
    n_labels
        Number of labels, with those that no cell has.
    seed
        Of the folds, and of samplers.
    class_balance
        See `fit_softmax`.
    judges
        (n,) cells that may be held out; None: all. Cells whose features have seen their labels are none.

    Raises
    ------
    ValueError
        Views that do not fit the labels or hold values that are not numbers; fewer than two labels; an unknown
        `class_balance`.

    Notes
    -----
    A label with a single cell stays in the training part of all folds: it is predicted, but says nothing about weights.
    Temperature scaling: Guo et al. 2017, `doi:10.48550/arXiv.1706.04599 <https://doi.org/10.48550/arXiv.1706.04599>`__.
    """
    check_views(views, len(labels))
    known = np.flatnonzero(np.asarray(labels) >= 0)
    classes, codes = np.unique(np.asarray(labels)[known], return_inverse=True)
    if len(classes) < 2 or classes[-1] >= n_labels:
        raise ValueError(
            f"Labels must be codes below {n_labels}, at least two of them different; found {classes.tolist()} in "
            f"{len(known)} labeled cells. Label more cells, or leave the labels out."
        )
    features = [np.asarray(view, dtype=np.float64)[known] for view in views]
    folds = split_labels(codes, seed, None if judges is None else judges[known])
    weights, temperature, losses = np.full(len(views), 1 / len(views)), 1.0, np.full(len(views) + 1, np.nan)
    truth, calibrated = codes[folds >= 0], np.empty((0, len(classes)))
    if len(truth):
        held_out = [hold_out(values, codes, folds, class_balance, seed) for values in features]
        weights = choose_weights(held_out, truth, folds[folds >= 0])
        mixed = np.tensordot(weights, held_out, axes=1)
        temperature = choose_temperature(mixed, truth)
        calibrated = temper(mixed, temperature)
        losses = np.array([log_loss(p, truth) for p in [*held_out, calibrated]])
    members = [fit_softmax(values, codes, class_balance, seed) for values in features]
    return Annotator(
        coefficients=tuple(slope for slope, _ in members),
        intercepts=tuple(start for _, start in members),
        present=np.isin(np.arange(n_labels), classes),
        weights=weights,
        temperature=temperature,
        member_log_loss=losses[:-1],
        log_loss=float(losses[-1]),
        truth=classes[truth],
        predicted=classes[calibrated.argmax(axis=1)],
        confidence=calibrated.max(axis=1),
    )


def check_views(views: Sequence[np.ndarray], n_cells: int) -> None:
    """Raise unless all views are finite matrices with a row for each cell."""
    for m, view in enumerate(views):
        if np.ndim(view) != 2 or len(view) != n_cells:
            raise ValueError(f"View {m} must have shape ({n_cells} cells, features); found {np.shape(view)}.")
        if not np.isfinite(view).all():
            cell = int(np.flatnonzero(~np.isfinite(view).all(axis=1))[0])
            raise ValueError(
                f"View {m} has a value that is not a number in cell {cell}. Fill it, or leave the cell out."
            )


def choose_temperature(probability: NDArray[np.float64], truth: NDArray[np.integer]) -> float:
    """The temperature of least log-loss."""
    bounds = np.log([MIN_TEMPERATURE, MAX_TEMPERATURE])
    optimum = minimize_scalar(lambda t: log_loss(temper(probability, np.exp(t)), truth), bounds=bounds)
    return float(np.exp(optimum.x))


def temper(probability: NDArray[np.float64], temperature: float) -> NDArray[np.float64]:
    """Probabilities raised to the power of 1 / temperature, with rows that sum to 1."""
    return np.asarray(softmax(np.log(probability.clip(SMALLEST)) / temperature, axis=1))


def log_loss(probability: NDArray[np.float64], truth: NDArray[np.integer]) -> float:
    """Mean of -log of the true label's probability."""
    return float(-np.log(probability[np.arange(len(truth)), truth].clip(SMALLEST)).mean())
