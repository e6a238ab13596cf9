"""Cells that were copied or made of others before the training."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from scmoe._keys import COPY_OF
from scmoe.losses._class_balance import ClassBalance


def check_copies(obs: pd.DataFrame, parts: Sequence[np.ndarray]) -> None:
    """Raise if a copied or made cell is in another part than the cell that it comes from, or than another one of its copies."""
    if COPY_OF not in obs:
        return
    part = pd.Series(np.repeat(np.arange(len(parts)), [len(cells) for cells in parts]), index=np.concatenate(parts))
    origin = obs[COPY_OF].astype(str).to_numpy()
    apart = part.sort_index().groupby(origin).nunique() > 1
    if apart.any():
        raise ValueError(
            f"The cells that come from {apart.idxmax()!r} (obs[{COPY_OF!r}]) are in different parts, as are those of {int(apart.sum()) - 1} "
            "other cells, so that copies of training cells would judge the training. Split first, resample the training part alone, "
            "and train on it with train_size=1; or leave the copies out."
        )


def check_balanced_once(obs: pd.DataFrame, class_balance: ClassBalance) -> None:
    """Raise if cells to learn from are copies or made of others, which balances them, and are to be balanced once more."""
    if class_balance == "none" or COPY_OF not in obs:
        return
    new = obs[COPY_OF].astype(str).to_numpy() != obs.index.astype(str)
    if new.any():
        raise ValueError(
            f"{int(new.sum())} of the {len(new)} training cells are copied or made, such as {obs.index[new][0]!r} (obs[{COPY_OF!r}]), "
            f"which balances the labels; class_balance={class_balance!r} would do so again, in favor of the rare ones. "
            "Pass class_balance='none', or train on the original cells."
        )
