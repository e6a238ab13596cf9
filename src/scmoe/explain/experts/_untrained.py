"""How far a summary of expert usage goes beyond what untrained routers would give."""

from collections.abc import Sequence

import pandas as pd

ROW = ["layer", "by", "share", "modality", "statistic", "first", "second"]
"""Columns that say what a row of a summary is of."""
UNTRAINED = "untrained_mean"


def beside_untrained(summary: pd.DataFrame, untrained: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """A summary with what untrained routers would give.

    Parameters
    ----------
    summary
        What `scmoe.explain.usage_summary` returns for a trained model.
    untrained
        The same for the model with untrained routers, on the same cells and groups.

    Returns
    -------
    The summary with a column ``untrained_mean``, the mean over the untrained ones; NaN for statistics that are not
    tested.
    """
    values = pd.concat(untrained).groupby(ROW, sort=False)["value"].mean().rename(UNTRAINED)
    table = summary.join(values, on=ROW)
    table[UNTRAINED] = table[UNTRAINED].where(summary["p"].notna())
    return table
