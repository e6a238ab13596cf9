"""Cells that were copied or made of others before the training."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from scmoe._keys import COPY_OF, MIXED_WITH
from scmoe._log import logger
from scmoe.datasets._cells import origins, split_columns
from scmoe.losses._class_balance import ClassBalance


def check_parts(obs: pd.DataFrame, parts: Sequence[np.ndarray], remedy: str | None) -> None:
    """Check training cells, the first part, and those held out: see `check_copies` and `warn_of_test_cells`.

    No remedy: the user named the split, so that another column that was left out is no oversight.
    """
    check_copies(obs, parts)
    if remedy is not None:
        warn_of_test_cells(obs, parts[0], remedy)


def check_copies(obs: pd.DataFrame, parts: Sequence[np.ndarray]) -> None:
    """Raise if a copied or made cell is in another part than one that it comes from, or another of its copies."""
    for key in (COPY_OF, MIXED_WITH):
        if key not in obs:
            continue
        cells = np.concatenate(parts)
        part = pd.Series(np.repeat(np.arange(len(parts)), [len(each) for each in parts]))
        apart = part.groupby(origins(obs, key)[cells]).nunique() > 1
        if apart.any():
            raise ValueError(
                f"The cells that come from {apart.idxmax()!r} (obs[{key!r}]) are in different parts, as are those of "
                f"{int(apart.sum()) - 1} "
                "other cells, so that copies of training cells would judge the training. Split first, resample the "
                "training part alone, "
                "and train on it without held-out cells (train_size=1, validation_size=0); or leave the copies out."
            )


def warn_of_test_cells(obs: pd.DataFrame, train: np.ndarray, remedy: str) -> None:
    """Say so if cells are learned from that a column of `scmoe.pp.split` has set apart, and what to do."""
    for key in split_columns(obs):
        part = obs[key].iloc[train].dropna()
        if n := int((part != "train").sum()):
            logger.warning(
                "obs[%r] is not used, and sets %d of the %d cells apart that are learned from now. %s, if the others "
                "are to judge the result",
                *(key, n, len(train), remedy.format(key)),
            )


def check_balanced_once(obs: pd.DataFrame, class_balance: ClassBalance) -> None:
    """Raise if cells to learn from are copies or made of others, which balances them.

    And are to be balanced once more.
    """
    if class_balance == "none" or COPY_OF not in obs:
        return
    new = origins(obs) != obs.index.astype(object)
    if new.any():
        raise ValueError(
            f"{int(new.sum())} of the {len(new)} training cells are copied or made, such as {obs.index[new][0]!r} "
            f"(obs[{COPY_OF!r}]), "
            f"which balances the labels; class_balance={class_balance!r} would do so again, in favor of the rare ones. "
            "Pass class_balance='none', or train on the original cells."
        )
