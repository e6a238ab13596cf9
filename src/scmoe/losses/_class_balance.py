"""Training in which rare classes count more: the options, their settings, and what each makes of logits and cells.

n_c: training cells of class c; C classes; N cells in all; π_c = n_c / N.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch.nn import functional as F

ClassBalance = Literal[
    "none",
    "inverse",
    "sqrt",
    "effective",
    "focal",
    "ldam",
    "logit_adjusted",
    "post_hoc",
    "sampler",
    "sqrt_sampler",
    "deferred",
    "decoupled",
    "prototype",
]
"""How classes of unequal size are balanced. One word: two corrections at once would favor rare classes too much."""
OPTIONS: tuple[ClassBalance, ...] = get_args(ClassBalance)
DEFAULT_BALANCE: ClassBalance = "inverse"
"""Of the lowest log-loss in folds within training cells, see the user guide on rare types."""
BETA = 0.999
"""Of the effective number of cells: beyond a few thousand, further cells of a class add nothing."""
GAMMA = 2.0
"""Of the focal loss; 0 is cross-entropy."""
MARGIN = 0.5
"""LDAM's margin of the rarest class, between cosines."""
SCALE = 30.0
"""Logits per unit of LDAM's cosine."""
TAU = 1.0
"""Of logit adjustment; 1 aims at the mean recall of the classes."""
POWER = {"sampler": 1.0, "sqrt_sampler": 0.5, "decoupled": 1.0}
"""q of the samplers: a cell is drawn with a probability proportional to n^-q."""
WEIGHTS = {"inverse": "inverse", "sqrt": "sqrt", "effective": "effective", "deferred": "inverse"}
"""Weights of the options that weigh cells."""
PLAIN_SHARE = 0.8
"""Share of the epochs before ``"deferred"`` and ``"decoupled"`` balance."""
LATE_RATE = 0.1
"""Factor of the learning rate of ``"deferred"`` from then on."""
FEW_CELLS = 20
"""Classes with fewer cells are classes of a prototype."""
KAPPA = 2.0
"""As how many cells the mean of all cells counts in a prototype."""


@dataclass(frozen=True)
class Balance:
    """An option for classes of given sizes.

    Parameters
    ----------
    option
        See `ClassBalance`.
    counts
        (C,) training cells of each class.
    """

    option: ClassBalance
    counts: NDArray[np.integer]

    def losses(self, logits: Tensor, label: Tensor) -> Tensor:
        """Losses (B,) of cells with logits (B, C) and labels (B,); training lowers their mean.

        ``"ldam"`` takes `SCALE` times cosines for logits. What is not a matter of the loss, such as draws, is not seen
        here.
        """
        if self.option == "focal":
            return focal_losses(logits, label)
        if self.option == "ldam":
            return margin_losses(logits, label, SCALE * torch.from_numpy(margins(self.counts)).to(logits))
        if self.option == "logit_adjusted":
            logits = logits + torch.from_numpy(prior_offsets(self.counts)).to(logits)
        losses = F.cross_entropy(logits, label, reduction="none")
        if self.option not in WEIGHTS:
            return losses
        return torch.from_numpy(self.class_weights()).to(logits)[label] * losses

    def class_weights(self) -> NDArray[np.float64] | None:
        """Weight (C,) of the cross-entropy of each class.

        None for options whose loss is another, or sees other logits.
        """
        if self.option in ("focal", "ldam", "logit_adjusted"):
            return None
        if self.option not in WEIGHTS:
            return np.ones(len(self.counts))
        return per_cell(class_weights(self.counts, WEIGHTS[self.option]), self.counts)

    def probabilities(self, label: NDArray[np.integer]) -> NDArray[np.float64] | None:
        """Probability (n,) of each training cell to be drawn, with replacement; None where each is drawn once."""
        if self.option not in POWER:
            return None
        return sampling_probabilities(label, self.counts, POWER[self.option])


def class_weights(counts: ArrayLike, kind: str, beta: float = BETA) -> NDArray[np.float64]:
    """Weights (C,) of classes.

    ``"inverse"``: N / (C n_c). ``"sqrt"``: n_c^(-1/2), with a mean of 1. ``"effective"``: (1 - β) / (1 - β^n_c), with a
    mean of 1 (Cui et al. 2019, `doi:10.1109/CVPR.2019.00949 <https://doi.org/10.1109/CVPR.2019.00949>`__).

    Raises
    ------
    ValueError
        A class has no cell, or `beta` is not in [0, 1).
    """
    n = _checked(counts)
    if kind == "inverse":
        return n.sum() / (len(n) * n)
    weights = n**-0.5 if kind == "sqrt" else 1 / effective_number(n, beta)
    return weights / weights.mean()


def effective_number(counts: ArrayLike, beta: float = BETA) -> NDArray[np.float64]:
    """(1 - β^n_c) / (1 - β): number of different cells, if each new one repeats what is known with probability β."""
    if not 0 <= beta < 1:
        raise ValueError(f"beta must be in [0, 1); found {beta}.")
    # expm1: β^n is close to 1 where classes are small
    return -np.expm1(_checked(counts) * np.log(max(beta, np.finfo(float).tiny))) / (1 - beta)


def per_cell(weights: ArrayLike, counts: ArrayLike) -> NDArray[np.float64]:
    """Weights (C,) divided by their mean over the training cells.

    So they say what counts more and leave the learning rate and the penalty what they were. (Dividing by the weights of
    each batch, as PyTorch's mean does, would make the step of a batch depend on what else is in it.)

    Raises
    ------
    ValueError
        A weight is negative or not a number, or all are 0.
    """
    w, n = np.asarray(weights, dtype=np.float64), _checked(counts)
    if not (np.isfinite(w) & (w >= 0)).all():
        worst = int(np.flatnonzero(~(np.isfinite(w) & (w >= 0)))[0])
        raise ValueError(f"Weights of classes must be numbers of at least 0; found {w[worst]} for class {worst}.")
    if not w.any():
        raise ValueError("Weights of classes must not all be 0.")
    return w * n.sum() / (w @ n)


def focal_losses(logits: Tensor, label: Tensor, gamma: float = GAMMA) -> Tensor:
    """-(1 - p_y)^γ log p_y, (B,).

    Lin et al. 2017, `doi:10.1109/ICCV.2017.324 <https://doi.org/10.1109/ICCV.2017.324>`__.
    """
    own = -F.cross_entropy(logits, label, reduction="none")
    return -((-own.expm1()).clamp(min=torch.finfo(own.dtype).tiny) ** gamma) * own


def margins(counts: ArrayLike, largest: float = MARGIN) -> NDArray[np.float64]:
    """Δ_c = m (n_c / n_min)^(-1/4), (C,).

    Cao et al. 2019, `doi:10.48550/arXiv.1906.07413 <https://doi.org/10.48550/arXiv.1906.07413>`__.
    """
    n = _checked(counts)
    return largest * (n / n.min()) ** -0.25


def margin_losses(logits: Tensor, label: Tensor, margin: Tensor) -> Tensor:
    """Cross-entropy (B,) after margins (C,) are subtracted from the true logits, and from no other."""
    return F.cross_entropy(logits - F.one_hot(label, len(margin)) * margin, label, reduction="none")


def prior_offsets(counts: ArrayLike, tau: float = TAU) -> NDArray[np.float64]:
    """τ log π_c, (C,): added to logits in training, or subtracted after a plain one, never both.

    Menon et al. 2021, `doi:10.48550/arXiv.2007.07314 <https://doi.org/10.48550/arXiv.2007.07314>`__.
    """
    n = _checked(counts)
    return tau * np.log(n / n.sum())


def sampling_probabilities(label: NDArray[np.integer], counts: ArrayLike, power: float) -> NDArray[np.float64]:
    """Probability (n,) of each cell, proportional to n_c^-q: q = 0 as they are, 1 all classes alike."""
    p = _checked(counts)[label] ** -power
    return p / p.sum()


def shrunken_means(
    x: NDArray[np.floating], label: NDArray[np.integer], n_classes: int, kappa: float = KAPPA
) -> NDArray[np.float64]:
    """(n_c μ_c + κ μ) / (n_c + κ), (C, d): means of few cells, drawn toward the mean of all."""
    counts = np.bincount(label, minlength=n_classes)
    sums = np.zeros((n_classes, x.shape[1]))
    np.add.at(sums, label, x)
    return (sums + kappa * x.mean(0)) / (counts + kappa)[:, None]


def _checked(counts: ArrayLike) -> NDArray[np.float64]:
    n = np.asarray(counts, dtype=np.float64)
    if not (np.isfinite(n) & (n > 0)).all():
        worst = int(np.flatnonzero(~(np.isfinite(n) & (n > 0)))[0])
        raise ValueError(f"Every class needs a training cell to be balanced; class {worst} has {n[worst]:g}.")
    return n
