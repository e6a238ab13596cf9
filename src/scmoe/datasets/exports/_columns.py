"""Tables in the few types that readers in other languages know."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

GAP = "NA"
"""What absent text is called: HDF5 has no absent text, and this is how R prints it."""
Convert = Callable[[pd.Series], Any]


def converted(frame: pd.DataFrame, convert: Convert) -> pd.DataFrame:
    """A table with each column as `convert` gives it, and text as names."""
    columns = {str(name): convert(frame[name]) for name in frame}
    return pd.DataFrame(columns, index=pd.Index(frame.index.astype(str).to_numpy(object)))


def as_text_or_number(column: pd.Series) -> Any:
    """A column without categories and without types of pandas: text, 32-bit whole numbers, numbers or booleans."""
    values = _as_number(column)
    if values is None:
        return as_text(column)
    if values.dtype.kind not in "iu":
        return values
    bounds = np.iinfo(np.int32)
    fits = not len(values) or (values.min() >= bounds.min and values.max() <= bounds.max)
    return values.astype(np.int32 if fits else np.float64)


def as_category_or_number(column: pd.Series) -> Any:
    """A column of which text is a category, with gaps where it has some, and the rest numbers or booleans."""
    values = _as_number(column)
    if values is not None:
        return values
    text = column.astype(object).where(column.notna(), None).map(str, na_action="ignore")
    if not isinstance(column.dtype, pd.CategoricalDtype):
        return pd.Categorical(text)
    order = list(dict.fromkeys(map(str, column.cat.categories)))
    return pd.Categorical(
        text, pd.Index(order, dtype=object), ordered=bool(column.cat.ordered)
    ).remove_unused_categories()


def as_text(column: pd.Series) -> np.ndarray:
    """A column as text."""
    text = column.astype(object).map(str, na_action="ignore")
    return text.where(column.notna(), GAP).to_numpy(object)


def _as_number(column: pd.Series) -> np.ndarray | None:
    """The values of a column of numbers or booleans, with NaN for gaps; None for others."""
    dtype = column.dtype
    if isinstance(dtype, pd.CategoricalDtype) or not (
        pd.api.types.is_bool_dtype(dtype) or pd.api.types.is_numeric_dtype(dtype)
    ):
        return None
    if pd.api.types.is_complex_dtype(dtype):
        return None
    if isinstance(dtype, np.dtype):
        values = column.to_numpy()
        return values.astype(np.float32) if values.dtype == np.float16 else values
    if column.isna().any():
        return column.to_numpy(np.float64, na_value=np.nan)
    return column.to_numpy(bool if pd.api.types.is_bool_dtype(dtype) else dtype.numpy_dtype)
