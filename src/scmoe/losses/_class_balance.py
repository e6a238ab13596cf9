"""Training in which rare classes count more: the options, their hyper-parameters, and what each makes of logits and cells.

n_c training cells of class c of C, N in all, π_c = n_c / N.
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
"""How classes of unequal size are balanced. One of them: two corrections at once would favor the rare classes too much."""
OPTIONS: tuple[ClassBalance, ...] = get_args(ClassBalance)
BETA = 0.999
"""Of the effective number: more than a few thousand cells of a class count no more."""
GAMMA = 2.0
"""Of the focal loss; 0 is cross-entropy."""
MARGIN = 0.5
"""LDAM's margin of the rarest class, between cosines."""
SCALE = 30.0
"""LDAM's factor from cosines to logits."""
TAU = 1.0
"""Share of log π in logit adjustment; 1 aims at the mean recall of the classes."""
POWERS = {"sampler": 1.0, "sqrt_sampler": 0.5, "decoupled": 1.0}
"""q of the samplers, which draw a cell with a probability proportional to n^-q."""
WEIGHTED = {"inverse": "inverse", "sqrt": "sqrt", "effective": "effective", "deferred": "inverse"}
"""Options that weigh the cross-entropy, and by what."""
PLAIN_SHARE = 0.8
"""Share of the epochs before ``"deferred"`` and ``"decoupled"`` start to balance."""
LATE_RATE = 0.1
"""Factor of the learning rate after that."""
FEW_CELLS = 20
"""Classes with fewer cells get a prototype."""
KAPPA = 2.0
"""Cells for which the mean of all classes counts in a prototype."""


@dataclass(frozen=True)
class Balance:
    """An option and the classes it is for.

    Parameters
    ----------
    option
        One of `ClassBalance`.
    counts
        (C,) training cells of each class.
    """

    option: ClassBalance
    counts: NDArray[np.integer]

    def losses(self, logits: Tensor, label: Tensor, margin_scale: float = 1.0) -> Tensor:
        """Losses (B,) of cells, for their mean to be lowered.

        Weights have a mean of one over the training cells, whatever is in a batch, so that they do not change the learning rate.

        Parameters
        ----------
        logits
            (B, C).
        label
            (B,) integers.
        margin_scale
            Logits per unit of LDAM's margin.
        """
        if self.option == "focal":
            return focal_losses(logits, label)
        if self.option == "ldam":
            return ldam_losses(logits, label, margin_scale * margins(self.counts))
        if self.option == "logit_adjusted":
            return F.cross_entropy(logits + prior_offsets(self.counts).to(logits), label, reduction="none")
        plain = F.cross_entropy(logits, label, reduction="none")
        if self.option not in WEIGHTED:
            return plain
        weights = per_cell(class_weights(self.counts, WEIGHTED[self.option]), self.counts)
        return torch.from_numpy(weights).to(logits)[label] * plain
