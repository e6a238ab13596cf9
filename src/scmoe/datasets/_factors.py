"""Factors of R in .h5ad files of SeuratDisk, which readers take for the numbers that stand for their levels."""

from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from anndata import AnnData

from scmoe._log import logger

LEVELS = "__categories"
"""Group beside the columns of a table with the levels of each factor, as the first versions of .h5ad had it."""
REFERENCE = "categories"
"""What these versions, and not SeuratDisk, wrote at a column: where its levels are."""


def restore_factors(adata: AnnData, path: Path) -> None:
    """Make categories of columns of ``obs`` and ``var`` that hold codes of levels, where the file says the levels."""
    names = []
    with h5py.File(path, "r") as file:
        for table, frame in (("obs", adata.obs), ("var", adata.var)):
            group = file[table]
            levels = group.get(LEVELS, {}) if isinstance(group, h5py.Group) else {}
            for name in levels:
                if name in frame and REFERENCE not in group[name].attrs and frame[name].dtype.kind in "iu":
                    frame[name] = _factor(frame[name].to_numpy(), levels[name].asstr()[()])
                    names.append(name)
    if names:
        logger.info("%s: %s are factors of R, whose levels are read", path.name, ", ".join(names))


def _factor(codes: np.ndarray, levels: np.ndarray) -> pd.Categorical:
    """Codes outside the levels are R's missing value."""
    is_level = (codes >= 0) & (codes < len(levels))
    return pd.Categorical.from_codes(np.where(is_level, codes, -1), pd.Index(levels.astype(object)))
