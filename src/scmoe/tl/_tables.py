"""What the table-writing verbs share."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import pandas as pd
from anndata.utils import make_index_unique
from mudata import MuData

from scmoe._io import to_uns
from scmoe._keys import column_name


def groups_of(mdata: MuData, groupby: str | None) -> pd.Series | None:
    """The column to group by."""
    if groupby is None:
        return None
    if groupby not in mdata.obs:
        raise KeyError(f"groupby={groupby!r} is not a column of mdata.obs; found {', '.join(map(str, mdata.obs))}.")
    return mdata.obs[groupby]


def storable_frame(values: np.ndarray, mdata: MuData, names: Sequence[str]) -> pd.DataFrame:
    """Cells x named columns, in a form that both h5mu and zarr can hold."""
    columns = make_index_unique(pd.Index([column_name(name) for name in names]))
    return pd.DataFrame(values, index=mdata.obs_names, columns=columns)


def write_uns(mdata: MuData, key: str, **entries: object) -> None:
    """Add entries to ``mdata.uns[key]``, in a form that both h5mu and zarr can hold."""
    mdata.uns[key] = {**mdata.uns.get(key, {}), **{name: to_uns(value) for name, value in entries.items()}}


def write_table(mdata: MuData, key: str, name: str, table: pd.DataFrame, groupby: str | None) -> None:
    """Write a table and the column it was split by."""
    write_uns(mdata, key, **{name: table, f"{name}_groupby": groupby or ""})


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
