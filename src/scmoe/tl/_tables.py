"""What the table-writing verbs share."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from mudata import MuData

from scmoe._keys import column_names
from scmoe.data._features import names_in_model
from scmoe.data._match import is_protein
from scmoe.data._setup import Setup
from scmoe.datasets._categories import category_names, refuse_decimals
from scmoe.explain._groups import ALL_CELLS

if TYPE_CHECKING:
    from scmoe.model._scmoe import SCMOE


def groups_of(mdata: MuData, groupby: str | None) -> pd.Series | None:
    """The column to group by."""
    if groupby is None:
        return None
    if groupby not in mdata.obs:
        raise KeyError(f"groupby={groupby!r} is not a column of mdata.obs; found {', '.join(map(str, mdata.obs))}.")
    column = mdata.obs[groupby]
    refuse_decimals(column, f"mdata.obs[{groupby!r}] (groupby)", "groups")
    if column.dtype.kind == "f":
        column = category_names(column)
    if (column.astype(str) == ALL_CELLS).any():
        raise ValueError(
            f"groupby={groupby!r} has a group {ALL_CELLS!r}, which is what tables call all of them; rename it."
        )
    return column


def storable_frame(values: np.ndarray, mdata: MuData, names: Sequence[str]) -> pd.DataFrame:
    """Cells x named columns, in a form that both h5mu and zarr can hold."""
    return pd.DataFrame(values, index=mdata.obs_names, columns=column_names(names), copy=False)


def as_layer(mdata: MuData, modality: str, values: np.ndarray, features: Sequence[str], setup: Setup) -> np.ndarray:
    """Values of all cells x the model's features for the modality's own cells and features; NaN in other features.

    The same array where cells and features are the same in the same order.
    """
    adata = mdata.mod[modality]
    columns = pd.Index(features).get_indexer(names_in_model(features, adata, is_protein=is_protein(modality, setup)))
    rows = mdata.obs_names.get_indexer(adata.obs_names)
    if np.array_equal(rows, np.arange(len(values))) and np.array_equal(columns, np.arange(values.shape[1])):
        return values
    layer = values[np.ix_(rows, columns)]
    layer[:, columns < 0] = np.nan
    return layer


def knows_split(model: "SCMOE", mdata: MuData) -> bool:
    """Whether the model's training, validation and test cells are positions in these data.

    A model can also be loaded with other data than those that it was trained on, where they mean nothing.
    """
    if not model.is_trained or mdata is not model.adata:
        return False
    parts = (model.train_indices, model.validation_indices, model.test_indices)
    return sum(map(len, parts)) == mdata.n_obs


@contextmanager
def uns_kept_on_error(mdata: MuData) -> Iterator[None]:
    """Take back what was added to ``mdata.uns`` (scvi-tools' identifiers, at setup) if what follows fails."""
    uns = getattr(mdata, "uns", {})
    before = dict(uns)
    try:
        yield
    except BaseException:
        for key in set(uns) - set(before):
            del uns[key]
        uns.update(before)
        raise
