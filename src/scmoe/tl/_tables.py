"""What the table-writing verbs share."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from anndata import AnnData
from anndata.utils import make_index_unique
from mudata import MuData

from scmoe._check import check_mdata
from scmoe._keys import UNS_ROOT, Keys, column_name
from scmoe.data._features import names_in_model
from scmoe.io._uns import to_uns

if TYPE_CHECKING:
    from scmoe.model._scmoe import SCMOE


def groups_of(mdata: MuData, groupby: str | None) -> pd.Series | None:
    """The column to group by."""
    if groupby is None:
        return None
    if groupby not in mdata.obs:
        raise KeyError(f"groupby={groupby!r} is not a column of mdata.obs; found {', '.join(map(str, mdata.obs))}.")
    if mdata.obs[groupby].dtype.kind == "f":
        raise ValueError(
            f"groupby={groupby!r} must be a column of groups; found decimal numbers. Bin them with pandas.cut."
        )
    return mdata.obs[groupby]


def storable_frame(values: np.ndarray, mdata: MuData, names: Sequence[str]) -> pd.DataFrame:
    """Cells x named columns, in a form that both h5mu and zarr can hold."""
    columns = make_index_unique(pd.Index([column_name(name) for name in names]))
    return pd.DataFrame(values, index=mdata.obs_names, columns=columns)


def as_layer(mdata: MuData, modality: str, values: np.ndarray, features: Sequence[str]) -> np.ndarray:
    """Values of all cells x the model's features for the modality's own cells and features; NaN in other features."""
    adata = mdata.mod[modality]
    columns = pd.Index(features).get_indexer(names_in_model(features, adata))
    layer = values[mdata.obs_names.get_indexer(adata.obs_names)][:, columns]
    layer[:, columns < 0] = np.nan
    return layer


def write_uns(mdata: MuData, key: str, **entries: object) -> None:
    """Add entries to ``mdata.uns[key]``, in a form that both h5mu and zarr can hold."""
    Keys(name=key)  # refuses names that files cannot hold
    mdata.uns[key] = {**mdata.uns.get(key, {}), **{name: to_uns(value) for name, value in entries.items()}}


def knows_split(model: "SCMOE", mdata: MuData) -> bool:
    """Whether the model's training, validation and test cells are positions in these data.

    A model can also be loaded with other data than those that it was trained on, where they mean nothing.
    """
    if not model.is_trained or mdata is not model.adata:
        return False
    parts = (model.train_indices, model.validation_indices, model.test_indices)
    return sum(map(len, parts)) == mdata.n_obs


def check_results(mdata: MuData, n_clusters: int | None, key: str) -> None:
    """Raise if results could not be written after a training."""
    check_mdata(mdata)
    Keys(name=key)
    for name in {key, UNS_ROOT}:
        check_free(mdata, name)
    if n_clusters is not None and n_clusters > mdata.n_obs:
        raise ValueError(f"n_clusters={n_clusters} is more than there are cells, {mdata.n_obs}. Lower it.")


def check_free(data: MuData | AnnData, name: str) -> None:
    """Raise if ``data.uns[name]`` holds something that results cannot be added to."""
    if not isinstance(data.uns.get(name, {}), Mapping):
        where, type_name = "adata" if isinstance(data, AnnData) else "mdata", type(data.uns[name]).__name__
        raise ValueError(
            f"{where}.uns[{name!r}] must be free for results; found a {type_name}. Rename it or key_added."
        )


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
