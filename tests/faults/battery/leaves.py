"""Everything that data hold, as a flat dict of comparable leaves."""

from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
from mudata import MuData
from scipy import sparse


def flatten(value: Any, path: str = "") -> dict[str, Any]:
    """Paths such as ``mod/rna/obsm/X_scmoe`` to what is there; ``obs`` and ``var`` are one leaf a column."""
    if isinstance(value, MuData | ad.AnnData):
        parts = ["obs", "var", "uns", "obsm", "varm", "obsp", "varp"]
        parts += ["mod", "obsmap", "varmap"] if isinstance(value, MuData) else ["X", "layers"]
        value = {part: getattr(value, part) for part in parts}
    elif isinstance(value, pd.DataFrame) and path.endswith(("obs", "var")):
        value = {"index": value.index, **value}
    elif isinstance(value, pd.DataFrame | pd.Series) or not hasattr(value, "items"):
        return {path: leaf(value)}
    found = {}
    for name, item in value.items():
        if name is None:  # anndata 0.13 keeps X among the layers
            continue
        found.update(flatten(item, f"{path}/{name}" if path else str(name)))
    return found


def leaf(value: Any) -> Any:
    """A comparable form of one stored value: type, shape and bytes."""
    if sparse.issparse(value):
        arrays = (value.data, value.indices, value.indptr)
        return (value.format, value.shape, *map(leaf, arrays))
    if isinstance(value, pd.DataFrame):
        return (leaf(value.index), *((str(name), leaf(value[name])) for name in value))
    if isinstance(value, pd.Series):
        return leaf(value.array)
    if isinstance(value, pd.Categorical):
        return ("categorical", leaf(value.codes), leaf(value.categories), value.ordered)
    value = np.asarray(value)
    if value.dtype.kind in ("O", "T", "U"):
        return ("text", value.shape, tuple(map(str, value.ravel())))
    return (value.dtype.str, value.shape, value.tobytes())
