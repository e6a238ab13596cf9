"""Simulated CITE-seq or multiome of any number of cells, with types, factors within types, and batches."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData
from scipy import sparse

from scmoe.io._quiet import quiet_mudata

N_TYPES, N_BATCHES, N_FACTORS = 25, 4, 20
MAX_CHUNK, CHUNK_ENTRIES = 5000, 50_000_000
"""Cells, and their values, that are dense at once."""
COUNTS_OF_A_GENE, COUNTS_OF_A_PEAK = 0.2, 0.06
"""Mean counts of a feature in a cell: 4000 in 20,000 genes, 6000 in 100,000 peaks."""


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
    peaks: np.ndarray
    """(peaks,) log rate at the origin."""
    peak_loadings: np.ndarray
    """(factors, peaks)."""


def simulate_cells(n_cells: int, n_genes: int, n_proteins: int, seed: int, *, n_peaks: int = 0) -> MuData:
    """Raw counts: ``rna`` in CSR, ``adt`` dense, ``atac`` in CSR, without what has no features.

    ``obs`` has ``cell_type`` and ``batch``. The log rate of a gene or peak is linear in the factors of a cell, that of
    a protein is bounded (tanh). Types differ in the mean of their factors, and cells within a type as much as types do
    in some of them.
    """
    rng = np.random.default_rng(seed)
    rates = _draw_rates(n_genes, n_proteins, n_peaks, rng)
    kind = rng.choice(N_TYPES, size=n_cells, p=rates.shares)
    batch = rng.integers(N_BATCHES, size=n_cells)
    chunk = min(MAX_CHUNK, CHUNK_ENTRIES // max(n_genes, n_peaks) + 1)
    parts = [_counts(rates, kind[i : i + chunk], batch[i : i + chunk], rng) for i in range(0, n_cells, chunk)]
    names = [f"cell{i}" for i in range(n_cells)]
    rna, adt, atac = zip(*parts, strict=True)
    modalities = {"rna": _modality(sparse.vstack(rna, format="csr"), names, "gene")}
    if n_proteins:
        modalities["adt"] = _modality(np.concatenate(adt), names, "protein")
    if n_peaks:
        modalities["atac"] = _modality(sparse.vstack(atac, format="csr"), names, "peak")
    with quiet_mudata():
        mdata = MuData(modalities)
        mdata.obs["cell_type"] = pd.Categorical.from_codes(kind, [f"type {i}" for i in range(N_TYPES)])
        mdata.obs["batch"] = pd.Categorical.from_codes(batch, [f"batch {i}" for i in range(N_BATCHES)])
    return mdata


def _draw_rates(n_genes: int, n_proteins: int, n_peaks: int, rng: np.random.Generator) -> Rates:
    shares = np.geomspace(0.1, 1, N_TYPES)
    return Rates(
        rng.normal(0, 0.5, (N_TYPES, N_FACTORS)),
        shares / shares.sum(),
        rng.normal(0, 1.2, n_genes),
        rng.normal(0, 0.25, (N_FACTORS, n_genes)) * (rng.random((N_FACTORS, n_genes)) < 0.3),
        rng.normal(0, 0.2, (N_BATCHES, n_genes)),
        rng.normal(2, 1, n_proteins),
        rng.normal(0, 0.4, (N_FACTORS, n_proteins)),
        rng.normal(0, 1, n_peaks),
        rng.normal(0, 0.25, (N_FACTORS, n_peaks)) * (rng.random((N_FACTORS, n_peaks)) < 0.3),
    )


def _counts(
    rates: Rates, kind: np.ndarray, batch: np.ndarray, rng: np.random.Generator
) -> tuple[sparse.csr_matrix, np.ndarray, sparse.csr_matrix]:
    """Counts of genes, proteins and peaks."""
    factors = rates.centers[kind] + rng.normal(0, 0.5, (len(kind), N_FACTORS))
    genes = rates.genes + factors @ rates.gene_loadings + rates.batches[batch]
    rna = _reads(genes, COUNTS_OF_A_GENE, rng)
    level = np.exp(rates.proteins + np.tanh(factors @ rates.protein_loadings) + rng.normal(0, 0.3, (len(kind), 1)))
    adt = rng.poisson(level * rng.gamma(5, 0.2, level.shape) + 2)
    return rna, adt.astype(np.float32), _reads(rates.peaks + factors @ rates.peak_loadings, COUNTS_OF_A_PEAK, rng)


def _reads(log_rate: np.ndarray, mean: float, rng: np.random.Generator) -> sparse.csr_matrix:
    """Counts whose total in a cell is about `mean` a feature, more or less deep."""
    if not log_rate.shape[1]:
        return sparse.csr_matrix(log_rate.shape, dtype=np.float32)
    rate = np.exp(log_rate)
    rate *= rng.lognormal(0, 0.35, (len(rate), 1)) * mean * rate.shape[1] / rate.sum(1, keepdims=True)
    return sparse.csr_matrix(rng.poisson(rate).astype(np.float32))


def _modality(matrix: np.ndarray | sparse.csr_matrix, names: list[str], feature: str) -> AnnData:
    var = pd.DataFrame(index=[f"{feature}{i}" for i in range(matrix.shape[1])])
    return AnnData(matrix, obs=pd.DataFrame(index=names), var=var)
