"""Choosing variable features where there are very many."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from scmoe._keys import HIGHLY_VARIABLE, PARTS, SPLIT
from scmoe._log import logger
from scmoe._matrix import Matrix, row_blocks
from scmoe.pp._missing import add_sums, membership

MANY = {"rna": 10_000, "ambient": 10_000, "lognormalized": 10_000, "peaks": 50_000}
"""Features of a kind from which variable ones are chosen unless the user says otherwise."""
N_TOP = {"rna": 4_000, "ambient": 4_000, "lognormalized": 4_000, "peaks": 20_000}
"""How many."""
N_BINS = 20
"""Of features by their mean, in which dispersions are compared."""
SAME = 1e-12
"""Variance, relative to the square of the mean, that rounding leaves in a constant."""


class Moments(NamedTuple):
    """Of D features in the cells of each batch, before logarithms were taken."""

    mean: np.ndarray
    """(batches, D)."""
    variance: np.ndarray
    """(batches, D) with n - 1 as divisor."""
    is_expressed: np.ndarray
    """(batches, D) whether a value is above zero."""


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

    Those of scanpy's ``highly_variable_genes`` (flavor ``"seurat"``, within batches if there is a key), which would
    copy all values; of the training cells where ``obs["split"]`` names them.

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
    in_training = np.ones(len(obs), bool)
    if SPLIT in obs and set(obs[SPLIT].dropna().astype(str)) <= set(PARTS):
        in_training = (obs[SPLIT].astype(str) == PARTS[0]).to_numpy()
    columns, codes = np.flatnonzero(is_used), np.where(in_training, 0, -1)
    within = batch_key is not None and obs.loc[in_training, batch_key].value_counts().min() > 2
    if within:
        codes[in_training] = pd.factorize(obs.loc[in_training, batch_key].astype(str), sort=True)[0]
    moments = moments_of(values, codes, columns)
    if not (np.ptp(moments.mean, 0) + moments.variance > SAME * np.square(moments.mean)).any():
        logger.info("%s: no feature differs between the cells, so variable ones are not chosen", name)
        return None
    out = np.zeros(adata.n_vars, bool)
    names = adata.var_names.astype(str)[columns]
    out[columns] = most_variable_within(moments, names, n_top) if within else most_variable(moments, n_top)
    by = "all cells" if in_training.all() else f"the {int(in_training.sum())} training cells"
    logger.info(
        "%s: models read the %d most variable of %d features, by %s (var['%s']); n_top_features=None is for all",
        *(name, int(out.sum()), adata.n_vars, by, HIGHLY_VARIABLE),
    )
    return out


def moments_of(values: Matrix, codes: np.ndarray, columns: np.ndarray) -> Moments:
    """Moments of some features of log-normalized values (n, D), in the cells of each batch (n,); -1 is none."""
    matrix = values.tocsr() if sparse.issparse(values) else values
    n_batches = int(codes.max()) + 1
    total, square, n_above = (np.zeros((n_batches, matrix.shape[1])) for _ in range(3))
    for rows in row_blocks(matrix):
        members = membership(codes[rows], n_batches)
        block = matrix[rows]
        raised = np.expm1(block.data if sparse.issparse(block) else block).astype(np.float64)
        for sums, part in ((total, raised), (square, np.square(raised)), (n_above, raised > 0)):
            add_sums(sums, members, block, part)
    n = np.bincount(codes[codes >= 0], minlength=n_batches)[:, None]
    mean = total[:, columns] / n
    variance = (square[:, columns] / n - np.square(mean)) * (n / np.maximum(n - 1, 1))
    return Moments(mean, np.maximum(variance, 0), n_above[:, columns] > 0)


def normalized_dispersion(mean: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """(D,) log dispersion of features, standardized among those of similar mean; NaN without variance."""
    mean = np.where(mean == 0, 1e-12, mean)
    with np.errstate(divide="ignore", invalid="ignore"):
        dispersion = pd.Series(np.log(np.where(variance == 0, np.nan, variance / mean)))
    bins = pd.cut(pd.Series(np.log1p(mean)), N_BINS)
    groups = dispersion.groupby(bins, observed=True)
    center, width = groups.transform("mean"), groups.transform("std")
    is_alone = width.isna()  # the only one of its bin: 1, as in Seurat
    return ((dispersion - center.mask(is_alone, 0)) / width.mask(is_alone, center)).to_numpy()


def most_variable(moments: Moments, n_top: int) -> np.ndarray:
    """(D,) the features with the highest normalized dispersion, of a single batch."""
    return highest(normalized_dispersion(moments.mean[0], moments.variance[0]), n_top)


def highest(dispersion: np.ndarray, n_top: int) -> np.ndarray:
    """(D,) the `n_top` highest of normalized dispersions, and what equals the last of them."""
    known = np.sort(dispersion[~np.isnan(dispersion)])
    return np.nan_to_num(dispersion, nan=-np.inf) >= known[-min(n_top, len(known))]


def most_variable_within(moments: Moments, names: pd.Index, n_top: int) -> np.ndarray:
    """(D,) the features that are variable in most batches, and of these the most variable on average."""
    dispersion = np.zeros(moments.mean.shape)
    is_high = np.zeros(moments.mean.shape, bool)
    for i, here in enumerate(moments.is_expressed):
        dispersion[i, here] = normalized_dispersion(moments.mean[i, here], moments.variance[i, here])
        is_high[i, here] = highest(dispersion[i, here], n_top)
    table = pd.DataFrame({"n": is_high.sum(0), "dispersion": pd.DataFrame(dispersion).mean().to_numpy()}, index=names)
    order = table.sort_index().sort_values(["n", "dispersion"], ascending=False, na_position="last").index[:n_top]
    return names.isin(order)
