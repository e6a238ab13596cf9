"""Cells of the pretraining studies: counts with labels, and splits of them."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData
from scipy import sparse

from scmoe._keys import COUNTS_LAYER
from scmoe._matrix import check_counts
from scmoe.benchmark._cells import known_labels, label_texts
from scmoe.datasets._bundled import bmmc_cite
from scmoe.datasets._read import read
from scmoe.pp._normalize import log_normalize
from scmoe.studies._data import BUNDLED, content_hash

BUNDLED_LABELS = "cell_type"
RNA = "rna"
LABEL = "label"
"""Column of the stored cells with their labels; missing in cells without one, or with one that few cells have."""
MIN_LABEL = 5
"""Cells of a label that is used: there are five folds."""
MIN_CELLS = 100


class Source(NamedTuple):
    """Data that studies are run on."""

    name: str
    adata: AnnData
    """Counts in ``X``, labels in ``obs["label"]``."""
    content: str
    """Hash of counts, genes and labels."""

    def described(self) -> dict[str, str | int | float]:
        """For the report."""
        label = self.adata.obs[LABEL]
        return {
            "name": self.name,
            "n_cells": self.adata.n_obs,
            "n_genes": self.adata.n_vars,
            "zeros": 1 - self.adata.X.nnz / np.prod(self.adata.shape, dtype=float),
            "n_labeled": int(label.notna().sum()),
            "n_labels": int(label.nunique()),
        }


class Split(NamedTuple):
    """Training and test cells; what is fitted sees the former only."""

    train: AnnData
    test: AnnData


def make_sources(data: str | Path | None, labels: str | None) -> list[Source]:
    """The user's file, if there is one, and the bundled cells."""
    if (data is None) != (labels is None):
        raise ValueError(f"data and labels belong together; found data={data!r} and labels={labels!r}.")
    bundled = source_of(bmmc_cite(), BUNDLED_LABELS, BUNDLED)
    if data is None:
        return [bundled]
    return [source_of(read(data), str(labels), Path(data).stem), bundled]


def source_of(mdata: MuData, labels: str, name: str) -> Source:
    """RNA counts of a MuData, in ``layers["counts"]`` or ``X``, with the labels that enough cells have.

    Raises
    ------
    KeyError
        There is no such column.
    ValueError
        There is no modality "rna", it holds no counts, or there are too few cells or labels.
    """
    if RNA not in mdata.mod:
        raise ValueError(f'{name} must have a modality "rna"; found {", ".join(mdata.mod)}.')
    if labels not in mdata.obs:
        raise KeyError(f"{labels!r} is not a column of mdata.obs of {name}; found {', '.join(mdata.obs) or 'none'}.")
    rna = mdata.mod[RNA]
    prepared = COUNTS_LAYER in rna.layers
    matrix, where = (rna.layers[COUNTS_LAYER], f"layers['{COUNTS_LAYER}']") if prepared else (rna.X, "X")
    check_counts(matrix, RNA, where, rna.obs_names, rna.var_names)
    counts = sparse.csr_matrix(matrix, dtype=np.float32)
    known = known_labels(mdata, labels)
    assert known is not None
    known = known.reindex(rna.obs_names)
    sizes = known.value_counts()
    known = known.where(known.isin(sizes.index[sizes >= MIN_LABEL]), None)
    if len(known) < MIN_CELLS or known.nunique() < 2:
        raise ValueError(
            f"{name} must have at least {MIN_CELLS} cells with RNA, and two labels of {MIN_LABEL} cells or more; found "
            f"{len(known)} cells and {known.nunique()} such labels in {labels!r}."
        )
    obs = pd.DataFrame({LABEL: known.astype(object)}, index=rna.obs_names)
    adata = AnnData(counts, obs=obs, var=pd.DataFrame(index=rna.var_names))
    return Source(name, adata, content_hash([adata.X], [*adata.var_names, *label_texts(adata.obs[LABEL])]))


def sweep_split(adata: AnnData, n_train: int, n_test: int, n_genes: int, seed: int) -> Split:
    """Random training and test cells, with the genes that are most variable in the former.

    Where there are too few cells, a third of them are test cells.
    """
    order = np.random.default_rng(seed).permutation(adata.n_obs)
    n_test = min(n_test, adata.n_obs // 3)
    train, test = np.sort(order[n_test : n_test + n_train]), np.sort(order[:n_test])
    genes = variable_genes(adata[train], n_genes)
    return Split(adata[train, genes].copy(), adata[test, genes].copy())


def variable_genes(adata: AnnData, n_genes: int) -> np.ndarray:
    """Positions of the genes with the largest variance of Pearson residuals (Lause et al. 2021)."""
    if n_genes >= adata.n_vars:
        return np.arange(adata.n_vars)
    import scanpy as sc

    expressed = np.flatnonzero(adata.X.getnnz(0))  # the residual of a gene without counts does not exist
    table = sc.experimental.pp.highly_variable_genes(
        adata[:, expressed].copy(), flavor="pearson_residuals", n_top_genes=n_genes, inplace=False
    )
    return expressed[table["highly_variable"].to_numpy()]


def cell_folds(adata: AnnData, n_folds: int, seed: int) -> np.ndarray:
    """Fold of every cell; labels are spread evenly, and cells without one too."""
    label = adata.obs[LABEL].fillna("").to_numpy()
    order = np.random.default_rng(seed).permutation(len(label))
    order = order[np.argsort(label[order], kind="stable")]
    fold = np.empty(len(label), int)
    fold[order] = np.arange(len(label)) % n_folds
    return fold


def thinned(adata: AnnData, share: float, seed: int) -> AnnData:
    """The cells with each molecule kept with probability `share`."""
    out = adata.copy()
    out.X.data = np.random.default_rng(seed).binomial(out.X.data.astype(np.int64), share).astype(np.float32)
    out.X.eliminate_zeros()
    return out


def share_for(adata: AnnData, zeros: float) -> float:
    """Share of the molecules to keep so that this share of the entries is expected to be zero, by bisection."""
    size = np.prod(adata.shape, dtype=float)
    low, high = 0.0, 1.0
    for _ in range(40):
        middle = (low + high) / 2
        expected = 1 - (1 - (1 - middle) ** adata.X.data.astype(np.float64)).sum() / size
        low, high = (middle, high) if expected > zeros else (low, middle)
    return high


def log_values(adata: AnnData) -> sparse.csr_matrix:
    """ln(1 + 1e4 c / total)."""
    return sparse.csr_matrix(log_normalize(adata.X))


def labels_of(adata: AnnData) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the cells that have a label, and their labels."""
    known = np.flatnonzero(adata.obs[LABEL].notna())
    return known, adata.obs[LABEL].to_numpy(dtype=object)[known].astype(str)
