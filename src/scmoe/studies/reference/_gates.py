"""Types of blood cells from surface proteins alone, as a cytometrist gates them."""

import numpy as np
import pandas as pd
from mudata import MuData
from numpy.typing import NDArray
from scipy import sparse
from sklearn.mixture import GaussianMixture

from scmoe._keys import UNKNOWN_LABEL
from scmoe.data._antibodies import antibody_name

MARKERS = ("cd3", "cd4", "cd8", "cd14", "cd16", "cd19", "cd56", "cd45ra", "cd45ro")
N_GRID = 2000


def gate(mdata: MuData) -> pd.Series:
    """Type of each cell by gates on its proteins; ``"Unknown"`` where none holds it.

    Each protein is positive above the point where two Gaussians, fitted to its centered logarithms, are as probable.
    Cells of no gate or of gates that exclude each other, such as doublets, are unknown.

    Parameters
    ----------
    mdata
        With raw counts of nine proteins in ``"adt"``, of any vendor.

    Raises
    ------
    KeyError
        One of the proteins is missing.
    """
    adata = mdata["adt"]
    names = [antibody_name(name) for name in adata.var_names]
    if missing := sorted(set(MARKERS) - set(names)):
        raise KeyError(f"Gates need the proteins {', '.join(MARKERS)}; 'adt' lacks {', '.join(missing)}.")
    matrix = adata.X.toarray() if sparse.issparse(adata.X) else np.asarray(adata.X)
    logs = np.log1p(matrix[:, [names.index(name) for name in MARKERS]].astype(np.float64))
    centered = logs - np.log1p(matrix).mean(1, keepdims=True)
    has = {name: values > threshold(values) for name, values in zip(MARKERS, centered.T, strict=True)}
    is_t, is_b, is_mono = has["cd3"] & ~has["cd19"] & ~has["cd14"], has["cd19"] & ~has["cd3"], has["cd14"] & ~has["cd3"]
    no_lineage = ~has["cd3"] & ~has["cd19"] & ~has["cd14"]
    cd4, cd8 = is_t & has["cd4"] & ~has["cd8"], is_t & has["cd8"] & ~has["cd4"]
    naive, memory = has["cd45ra"] & ~has["cd45ro"], has["cd45ro"] & ~has["cd45ra"]
    gates = {
        "CD4 naive": cd4 & naive,
        "CD4 memory": cd4 & memory,
        "CD8 naive": cd8 & naive & ~has["cd56"],
        "CD8 memory/effector": cd8 & ~naive,
        "NK": no_lineage & has["cd56"],
        "B": is_b & ~has["cd14"] & ~has["cd56"],
        "CD14 mono": is_mono & ~has["cd19"],
        "CD16 mono": no_lineage & has["cd16"] & ~has["cd56"],
    }
    table = np.stack(list(gates.values()), axis=1)
    types = np.where(table.sum(1) == 1, np.array(list(gates), object)[table.argmax(1)], UNKNOWN_LABEL)
    return pd.Series(types, index=mdata["adt"].obs_names).reindex(mdata.obs_names, fill_value=UNKNOWN_LABEL)


def threshold(values: NDArray[np.floating]) -> float:
    """Where two Gaussians, between their means, are as probable."""
    mixture = GaussianMixture(2, random_state=0).fit(values[:, None])
    low, high = np.argsort(mixture.means_.ravel())
    grid = np.linspace(mixture.means_[low, 0], mixture.means_[high, 0], N_GRID)
    is_high = mixture.predict_proba(grid[:, None])[:, high] > 0.5
    return float(grid[is_high.argmax()])
