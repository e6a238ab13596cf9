"""Cross-entropy of the labels that some cells of a batch have."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from scmoe.losses._class_balance import Balance

LOSSES = ("none", "inverse", "sqrt", "effective", "focal", "logit_adjusted")
"""Options for labels with few cells that are a matter of the loss alone, and of plain logits."""


@dataclass(frozen=True)
class LabelLoss:
    """The scMoE paper's supervised loss (3.2), over cells with a label, which count as a `Balance` has it.

    Parameters
    ----------
    balance
        Of the labels that training cells have.
    present
        Their codes, rising.
    """

    balance: Balance
    present: Tensor

    def __call__(self, logits: Tensor, label: Tensor) -> Tensor:
        """Mean loss of logits (B, labels) and codes (B,), of cells whose code is not negative; 0 if there is none."""
        known, present = label >= 0, self.present.to(label.device)
        own = torch.searchsorted(present, label.clamp(min=0))
        losses = self.balance.losses(logits[:, present], own)
        return (losses * known).sum() / known.sum().clamp(min=1)


def label_loss(codes: np.ndarray, option: str) -> LabelLoss:
    """The loss of training cells with these codes, of which negative ones are none."""
    present, counts = np.unique(codes[codes >= 0], return_counts=True)
    return LabelLoss(Balance(option, counts), torch.from_numpy(present))  # type: ignore[arg-type]
