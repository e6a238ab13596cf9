"""Which of many concept tests hold."""

from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

ALPHA = 0.05
Method = Literal["holm", "bonferroni"]


def adjust(table: pd.DataFrame, method: Method = "holm") -> pd.DataFrame:
    """Adjust p-values for all tests of a table, and decide.

    Parameters
    ----------
    table
        Rows of `concept_test`, all that were tested together. A column ``p_matched``, the p-value against other
        concepts of the same kind, counts where it is not NaN.
    method
        ``"holm"`` or ``"bonferroni"``; both keep the chance of any false positive at 0.05, and Holm finds more.

    Returns
    -------
    The table with the columns ``p_adjusted`` and ``significant``: the adjusted p-value, the p-value of the accuracy
    (without which there is no direction to speak of) and, where there is one, ``p_matched`` are all below 0.05.

    Raises
    ------
    ValueError
        `method` is neither.
    """
    p = table["p"].to_numpy(dtype=np.float64)
    adjusted = holm(p) if method == "holm" else np.minimum(p * len(p), 1)
    gates = [table[name].to_numpy() for name in ("cav_accuracy_p", "p_matched") if name in table]
    significant = (adjusted < ALPHA) & ~np.any([gate >= ALPHA for gate in gates], axis=0)
    return table.assign(p_adjusted=adjusted, significant=significant)


def holm(p: NDArray[np.floating]) -> NDArray[np.float64]:
    """Holm's step-down procedure: p-values adjusted so that the chance of any false positive is kept."""
    order = np.argsort(p)
    steps = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(steps, 1)
    return adjusted
