"""Choosing variable features where there are very many."""

import numpy as np
import pandas as pd
from anndata import AnnData

from scmoe._keys import HIGHLY_VARIABLE, PARTS, SPLIT
from scmoe._log import logger
from scmoe._matrix import Matrix

MANY = {"rna": 10_000, "ambient": 10_000, "lognormalized": 10_000, "peaks": 50_000}
"""Features of a kind from which variable ones are chosen unless the user says otherwise."""
N_TOP = {"rna": 4_000, "ambient": 4_000, "lognormalized": 4_000, "peaks": 20_000}
"""How many."""


def choose_variable(
    name: str,
    adata: AnnData,
    kind: str,
    values: Matrix,
    obs: pd.DataFrame,
    *,
    n_top_features: int | str | None,
    batch_key: str | None,
    is_used: np.ndarray,
) -> np.ndarray | None:
    """The most variable features (D,), or None where all are to be used, the user has marked some, or none varies.

    scanpy's ``highly_variable_genes`` (flavor ``"seurat"``, within batches if there is a key), of the training cells
    where ``obs["split"]`` names them.

    Parameters
    ----------
    name, adata, kind
        The modality, and what it was taken for.
    values
        Log-normalized, cells x features.
    obs
        What is known of these cells.
    n_top_features
        ``"auto"``: only where there are very many; a number; None: never.
    batch_key
        Column of `obs`.
    is_used
        (D,) the features to choose from.
    """
    if kind not in MANY or n_top_features is None or HIGHLY_VARIABLE in adata.var:
        return None
    n_top = N_TOP[kind] if isinstance(n_top_features, str) else int(n_top_features)
    if isinstance(n_top_features, str) and is_used.sum() <= MANY[kind] or is_used.sum() <= n_top:
        return None
    import scanpy  # takes seconds

    in_training = np.ones(len(obs), bool)
    if SPLIT in obs and set(obs[SPLIT].dropna().astype(str)) <= set(PARTS):
        in_training = (obs[SPLIT].astype(str) == PARTS[0]).to_numpy()
    columns = np.flatnonzero(is_used)
    cells = AnnData(values[np.flatnonzero(in_training)][:, columns], obs=obs.loc[in_training])
    if not (cells.X.max(0) != cells.X.min(0)).sum():
        logger.info("%s: no feature differs between the cells, so variable ones are not chosen", name)
        return None
    sizes = cells.obs[batch_key].value_counts() if batch_key is not None else pd.Series([0])
    within = batch_key if sizes.min() > 2 else None
    if within is not None:
        cells.obs[within] = pd.Categorical(cells.obs[within].astype(str))
    chosen = scanpy.pp.highly_variable_genes(cells, n_top_genes=n_top, batch_key=within, inplace=False)
    out = np.zeros(adata.n_vars, bool)
    out[columns] = chosen[HIGHLY_VARIABLE].to_numpy()
    by = "all cells" if in_training.all() else f"the {int(in_training.sum())} training cells"
    logger.info(
        "%s: models read the %d most variable of %d features, by %s (var['%s']); n_top_features=None is for all",
        *(name, int(out.sum()), adata.n_vars, by, HIGHLY_VARIABLE),
    )
    return out
