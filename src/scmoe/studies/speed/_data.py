"""Counts of the shape of real data, for measurements of speed alone."""

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData
from scipy import sparse

from scmoe.io._quiet import quiet_mudata


def sparse_counts(n_cells: int, n_features: int, density: float, rng: np.random.Generator) -> sparse.csr_matrix:
    """Counts of 1 to about 10 at random places, the same number in each cell: never dense, a row at a time."""
    per_cell = max(round(density * n_features), 1)
    places = np.empty((n_cells, per_cell), np.int32)
    for cell in range(n_cells):
        places[cell] = np.sort(rng.choice(n_features, per_cell, replace=False, shuffle=False))
    counts = rng.geometric(0.6, size=n_cells * per_cell).astype(np.float32)
    indptr = np.arange(0, n_cells * per_cell + 1, per_cell)
    return sparse.csr_matrix((counts, places.ravel(), indptr), shape=(n_cells, n_features))


def simulate(
    n_cells: int, *, genes: int = 0, proteins: int = 0, peaks: int = 0, density: float = 0.09, seed: int = 0
) -> MuData:
    """Raw counts of the modalities with features: ``rna`` and ``atac`` in CSR, ``adt`` dense."""
    rng = np.random.default_rng(seed)
    matrices: dict[str, np.ndarray | sparse.csr_matrix] = {}
    if genes:
        matrices["rna"] = sparse_counts(n_cells, genes, density, rng)
    if proteins:
        matrices["adt"] = rng.poisson(rng.gamma(2, 20, size=(1, proteins)), (n_cells, proteins)).astype(np.float32)
    if peaks:
        matrices["atac"] = sparse_counts(n_cells, peaks, density, rng)
    return to_mudata(matrices)


def to_mudata(matrices: dict[str, np.ndarray | sparse.csr_matrix]) -> MuData:
    """Matrices of the same cells as modalities."""
    with quiet_mudata():
        return MuData({name: _modality(name, matrix) for name, matrix in matrices.items()})


def _modality(name: str, matrix: np.ndarray | sparse.csr_matrix) -> AnnData:
    obs = pd.DataFrame(index=[f"cell{i}" for i in range(matrix.shape[0])])
    return AnnData(matrix, obs=obs, var=pd.DataFrame(index=[f"{name}{i}" for i in range(matrix.shape[1])]))
