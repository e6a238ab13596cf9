"""The plain form of data: one type of text, whichever library wrote it, and the only form that every library can write.

pandas knows text as `object`, as `string` and, from version 3, as `str`. anndata 0.12 reads all of them and writes the
first only.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import anndata
import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData

from scmoe.io._quiet import quiet_mudata

Data = TypeVar("Data", AnnData, MuData)


@contextmanager
def text_as_arrays() -> Iterator[None]:
    """Let anndata write text as it did before version 0.12: few other readers know the newer form."""
    with anndata.settings.override(allow_write_nullable_strings=False):
        yield


def plain(data: Data) -> Data:
    """A new object over the same matrices, whose names, tables and ``uns`` have the plain form.

    Names and text are what the installed pandas takes strings for (`object` before version 3, `str` since). Text with
    gaps and categories of any kind of text are categorical. Floating-point columns have NaN, not NA; whole numbers and
    booleans with gaps stay nullable. No value changes, and the columns of `data` stay as they are.
    """
    return _plain_mdata(data) if isinstance(data, MuData) else _plain_adata(data)


def plain_index(names: pd.Index) -> pd.Index:
    """Names as the installed pandas takes strings for."""
    return pd.Index(names.astype(object).to_list(), name=names.name) if is_text(names) else names


def plain_frame(frame: pd.DataFrame) -> pd.DataFrame:
    """A table in plain form."""
    index = plain_index(frame.index)
    if is_numeric(frame):  # may be large: nothing is copied
        same = frame.copy(deep=False)
        same.index = index
        return same
    columns = {name: plain_column(frame[name].values) for name in frame} if frame.columns.is_unique else None
    if columns is None:
        return frame.set_axis(index)
    return pd.DataFrame(columns, index=index, columns=frame.columns if len(frame.columns) else None)


def is_numeric(frame: pd.DataFrame) -> bool:
    """Whether all columns, of which there are some, are numbers of NumPy's types."""
    types = set(frame.dtypes)
    return bool(types) and all(isinstance(dtype, np.dtype) and dtype.kind in "biuf" for dtype in types)


def plain_column(values: Any) -> Any:
    """The values of a column in plain form."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        return values.rename_categories(plain_index(values.categories))
    if isinstance(values.dtype, (pd.Float32Dtype, pd.Float64Dtype)):
        return values.to_numpy(dtype=values.dtype.numpy_dtype, na_value=np.nan)
    if values.dtype == object and (number := _as_numbers(values)) is not None:
        return number
    missing = pd.isna(values)
    if not is_text(values) and not (values.dtype == object and missing.all()):
        return values
    text = np.asarray(values, dtype=object)  # a table makes of it what the installed pandas takes strings for
    if missing.any():
        return pd.Categorical([None if gap else value for gap, value in zip(missing, text, strict=True)])
    return text


def _as_numbers(values: Any) -> Any:
    """Numbers and booleans that are objects because of a gap, in a type of their own; None for anything else.

    zarr would write them as text.
    """
    kind = pd.api.types.infer_dtype(values, skipna=True)
    types = {"boolean": "boolean", "integer": "Int64", "floating": "Float64", "mixed-integer-float": "Float64"}
    if kind not in types:
        return None
    try:
        numbers = pd.array(values, dtype=types[kind])
    except (OverflowError, TypeError, ValueError):  # a whole number of more than 64 bits, for one
        return None
    return numbers.to_numpy(dtype=np.float64, na_value=np.nan) if types[kind] == "Float64" else numbers


def is_text(values: Any) -> bool:
    """Whether an array, column or index holds strings, however pandas stores them; gaps do not count."""
    return isinstance(values.dtype, pd.StringDtype) or pd.api.types.infer_dtype(values, skipna=True) == "string"


def _plain_mdata(mdata: MuData) -> MuData:
    obs, var = plain_frame(mdata.obs), plain_frame(mdata.var)
    mods = {name: plain(adata) for name, adata in mdata.mod.items()}
    titles = {name: (each.obs.index.name, each.var.index.name) for name, each in mods.items()}
    for each in mods.values():  # mudata before 0.4 cannot join tables whose names have different titles
        each.obs, each.var = each.obs.rename_axis(index=None), each.var.rename_axis(index=None)
    with quiet_mudata():
        plainer = MuData(
            mods,
            obs=obs.rename_axis(index=None),
            var=var.rename_axis(index=None),
            uns=plain_uns(mdata.uns),
            axis=int(mdata.axis),  # mudata 0.4 reads NumPy's integer, which zarr's JSON cannot hold
            obsmap=_plain_arrays(mdata.obsmap),
            varmap=_plain_arrays(mdata.varmap),
        )
        # Set once the modalities are joined: mudata before 0.4 cannot join arrays of whole numbers.
        for part in ("obsm", "varm", "obsp", "varp"):
            getattr(plainer, part).update(_plain_arrays(getattr(mdata, part)))
        for name, each in mods.items():
            each.obs.index.name, each.var.index.name = titles[name]
        plainer.obs, plainer.var = obs, var  # without the types that mudata chooses
    return plainer


def _plain_adata(adata: AnnData) -> AnnData:
    raw = adata.raw
    with quiet_mudata():
        return AnnData(
            adata.X,
            obs=plain_frame(adata.obs),
            var=plain_frame(adata.var),
            uns=plain_uns(adata.uns),
            # anndata 0.13 keeps X among the layers, under the key None.
            layers={key: value for key, value in adata.layers.items() if key is not None},
            raw=None if raw is None else {"X": raw.X, "var": plain_frame(raw.var), "varm": _plain_arrays(raw.varm)},
            **{part: _plain_arrays(getattr(adata, part)) for part in ("obsm", "varm", "obsp", "varp")},
        )


def _plain_arrays(arrays: Mapping[str, Any]) -> dict[str, Any]:
    return {key: plain_frame(value) if isinstance(value, pd.DataFrame) else value for key, value in arrays.items()}


def plain_uns(value: Any) -> Any:
    """A value of ``uns`` in plain form, at any depth."""
    if isinstance(value, Mapping):
        return {key: plain_uns(item) for key, item in value.items()}
    if isinstance(value, pd.DataFrame):
        return plain_frame(value)
    if isinstance(value, pd.api.extensions.ExtensionArray):
        return plain_column(value)
    if isinstance(value, np.ndarray) and value.dtype.kind == "T":  # NumPy's text of variable width, which zarr reads
        return value.astype(object)
    return value
