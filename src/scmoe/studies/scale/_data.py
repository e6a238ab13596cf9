"""Simulated CITE-seq of any number of cells, with types, factors within types, and batches."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData
from scipy import sparse

from scmoe.io._quiet import quiet_mudata

N_TYPES, N_BATCHES, N_FACTORS = 25, 4, 20
CHUNK = 5000
"""Cells that are dense at once."""
COUNTS_OF_A_GENE = 0.2
"""Mean counts of a gene in a cell: 4000 in 20,000 genes."""


class Rates(NamedTuple):
    """What cells of one simulation share."""

    centers: np.ndarray
    """(types, factors)."""
    shares: np.ndarray
    """(types,) of the cells; the rarest has about a tenth of an even share."""
    genes: np.ndarray
    """(genes,) log rate at the origin."""
    gene_loadings: np.ndarray
    """(factors, genes)."""
    batches: np.ndarray
    """(batches, genes) what a batch adds."""
    proteins: np.ndarray
    """(proteins,) log rate."""
    protein_loadings: np.ndarray
    """(factors, proteins)."""


def simulate_cells(n_cells: int, n_genes: int, n_proteins: int, seed: int) -> MuData:
    """Raw counts: ``rna`` in CSR, ``adt`` dense; ``obs`` has ``cell_type`` and ``batch``.

    The log rate of a gene is linear in the factors of a cell, that of a protein is bounded (tanh). Types differ in the
    mean of their factors, and cells within a type as much as types do in some of them.
    """
    rng = np.random.default_rng(seed)
    rates = _draw_rates(n_genes, n_proteins, rng)
    kind = rng.choice(N_TYPES, size=n_cells, p=rates.shares)
    batch = rng.integers(N_BATCHES, size=n_cells)
    parts = [_counts(rates, kind[i : i + CHUNK], batch[i : i + CHUNK], rng) for i in range(0, n_cells, CHUNK)]
    names = [f"cell{i}" for i in range(n_cells)]
    with quiet_mudata():
        mdata = MuData(
            {
                "rna": _modality(sparse.vstack([part[0] for part in parts], format="csr"), names, "gene"),
                "adt": _modality(np.concatenate([part[1] for part in parts]), names, "protein"),
            }
        )
        mdata.obs["cell_type"] = pd.Categorical.from_codes(kind, [f"type {i}" for i in range(N_TYPES)])
        mdata.obs["batch"] = pd.Categorical.from_codes(batch, [f"batch {i}" for i in range(N_BATCHES)])
    return mdata


def _draw_rates(n_genes: int, n_proteins: int, rng: np.random.Generator) -> Rates:
    shares = np.geomspace(0.1, 1, N_TYPES)
    return Rates(
        rng.normal(0, 0.5, (N_TYPES, N_FACTORS)),
        shares / shares.sum(),
        rng.normal(0, 1.2, n_genes),
        rng.normal(0, 0.25, (N_FACTORS, n_genes)) * (rng.random((N_FACTORS, n_genes)) < 0.3),
        rng.normal(0, 0.2, (N_BATCHES, n_genes)),
        rng.normal(2, 1, n_proteins),
        rng.normal(0, 0.4, (N_FACTORS, n_proteins)),
    )


def _counts(
    rates: Rates, kind: np.ndarray, batch: np.ndarray, rng: np.random.Generator
) -> tuple[sparse.csr_matrix, np.ndarray]:
    factors = rates.centers[kind] + rng.normal(0, 0.5, (len(kind), N_FACTORS))
    rate = np.exp(rates.genes + factors @ rates.gene_loadings + rates.batches[batch])
    depth = rng.lognormal(0, 0.35, (len(kind), 1)) * COUNTS_OF_A_GENE * len(rates.genes)
    rna = rng.poisson(rate * depth / rate.sum(1, keepdims=True))
    level = np.exp(rates.proteins + np.tanh(factors @ rates.protein_loadings) + rng.normal(0, 0.3, (len(kind), 1)))
    adt = rng.poisson(level * rng.gamma(5, 0.2, level.shape) + 2)
    return sparse.csr_matrix(rna.astype(np.float32)), adt.astype(np.float32)


def _modality(matrix: np.ndarray | sparse.csr_matrix, names: list[str], feature: str) -> AnnData:
    var = pd.DataFrame(index=[f"{feature}{i}" for i in range(matrix.shape[1])])
    return AnnData(matrix, obs=pd.DataFrame(index=names), var=var)
