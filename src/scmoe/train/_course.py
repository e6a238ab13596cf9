"""The course of a loss over the epochs: how far it falls, whether it rises again, and whose weights are kept."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

ROSE = 0.05
"""Share of the validation loss's fall that may be lost again."""
SMALLEST_FALL = 0.05
"""Share of the loss that counts as its fall at least: a model that is trained on has little left to fall."""
LOSS = "validation_loss"
"""Its name in a history."""


class Course(NamedTuple):
    """What a loss did, as shares of its fall from the first epoch to its lowest: the same for any likelihood."""

    third_quarter_fall: float
    """Share of the fall in the third quarter of the epochs: the learning rate was still high."""
    late_fall: float
    """Share in the last quarter, in which the learning rate goes to zero, and any loss flattens."""
    rise: float
    """Share that was lost again by the end."""


def course(loss: np.ndarray) -> Course:
    """The course of a loss (epochs,); NaN where there are too few epochs to tell."""
    n = len(loss)
    if n < 2:
        return Course(math.nan, math.nan, math.nan)
    fall = max(loss[0] - loss.min(), SMALLEST_FALL * abs(loss.min()))
    quarter = max(n // 4, 1)
    before, middle, last = (loss[-1 - i * quarter] if i * quarter < n else math.nan for i in (2, 1, 0))
    return Course(*(float(part / fall) for part in (before - middle, middle - last, last - loss.min())))


def is_lowest(history: Sequence[Mapping[str, float]]) -> bool:
    """Whether the validation loss of the last epoch, if it has one, is below those of all epochs before."""
    *former, last = history
    return LOSS in last and last[LOSS] < min((row[LOSS] for row in former if LOSS in row), default=math.inf)


def kept_epoch(history: pd.DataFrame, n_cells: int) -> int:
    """The epoch whose weights are kept: the last one, unless the validation loss has clearly risen from its lowest.

    The lowest loss of a few cells is that of an epoch that suits these cells. Cells differ in how their loss changes
    about as much as it falls, so the rise of the mean of n of them is clear when it is above 1 / √n of the fall.

    Parameters
    ----------
    history
        Losses, one row an epoch.
    n_cells
        Number n of validation cells.
    """
    loss = history[LOSS].dropna() if LOSS in history else pd.Series(dtype=float)
    rise = course(loss.to_numpy()).rise
    is_clear = bool(n_cells) and rise > max(ROSE, n_cells**-0.5)
    return int(loss.idxmin() if is_clear else history.index[-1])
