"""Concepts of genes: what if they were higher, and cells in which they are."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from mudata import MuData
from numpy.typing import NDArray
from scipy import sparse

from scmoe._matrix import Matrix
from scmoe.data._features import match_features, names_in_model
from scmoe.data._match import is_protein, shorten
from scmoe.data._setup import Setup, values_of
from scmoe.data._source import to_dense
from scmoe.explain.concepts._cells import REST_SHARE, TOP_SHARE, ScoreConcept
from scmoe.explain.concepts._raised import RaisedConcept
from scmoe.model.explain._targets import nearest
from scmoe.pp._normalize import log_normalize

MAX_BINS = 25
"""Bins of genes by their mean, as in Seurat and scanpy."""
BIN_SIZE = 20
"""Genes that a bin should have at least, so that there is something to draw from."""


N_MATCHED_MARKERS = 50
"""Random sets of genes that a set of markers is compared with; each takes draws of cells and a fit."""
GENES_AT_ONCE = 256
"""Genes whose values are dense in memory at a time."""


def raised_concepts(
    mdata: MuData,
    setup: Setup,
    gene_sets: Mapping[str, Sequence[str]],
    scales: Mapping[str, NDArray[np.floating]],
    n_matched: int,
    seed: int,
) -> list[RaisedConcept]:
    """The genes of each set raised in all cells, and random sets of as many genes from the same bins of expression.

    Each gene is raised from its mean in the half of the cells that have least of it to its mean in the tenth that
    have most. The unit is `scales`: of each modality (features,), the standard deviations that the model divides by.
    Those of these cells would not do: in a query of one cell type genes vary less.

    Raises
    ------
    ValueError
        A set is empty, or has genes that no modality has, or that the model does not know; lists the nearest names.
    """
    concepts = []
    for name, genes in gene_sets.items():
        modality, values, genes_in_known, known = look_up(mdata, setup, name, genes)
        bins, rng = expression_bins(moments(values)[0]), np.random.default_rng(seed)
        rise = np.zeros(len(setup.feature_names[modality]))
        rise[known] = rises(values) / scales[modality][known]
        sets = [known[genes_in_known], *(known[random_set(bins, genes_in_known, rng)] for _ in range(n_matched))]
        concepts.append(RaisedConcept(name=name, modality=modality, rise=rise, sets=sets))
    return concepts


def rises(values: Matrix) -> NDArray[np.float64]:
    """Of every gene, how far its high tenth is above its low half; 0 if it does not vary."""
    n = values.shape[0]
    n_top, n_low = max(round(TOP_SHARE * n), 1), max(round(REST_SHARE * n), 1)
    mean, _ = moments(values)
    out = np.zeros(len(mean))
    for start in range(0, len(mean), GENES_AT_ONCE):
        part = slice(start, start + GENES_AT_ONCE)
        block = to_dense(values[:, part])
        ordered = np.sort(np.where(np.isnan(block), mean[part], block), axis=0)
        out[part] = ordered[n - n_top :].mean(axis=0) - ordered[:n_low].mean(axis=0)
    return out


def marker_concepts(mdata: MuData, setup: Setup, markers: Mapping[str, Sequence[str]], seed: int) -> list[ScoreConcept]:
    """Cells that express a set of genes most, with random sets of as many genes from the same bins of expression.

    The score of a cell is the mean of the set's genes minus that of all other genes of the same bins, each gene in
    units of its standard deviation (Tirosh et al. 2016; that of `scanpy.tl.score_genes`, which draws some of these
    genes).

    Raises
    ------
    ValueError
        A set is empty, or has genes that no modality has; lists the nearest names.
    """
    concepts = []
    for name, genes in markers.items():
        modality, values, indices, _ = look_up(mdata, setup, name, genes)
        scores = gene_set_scores(values, indices, N_MATCHED_MARKERS, np.random.default_rng(seed))
        frame = pd.DataFrame(scores, index=mdata.mod[modality].obs_names).reindex(mdata.obs_names)
        by_cell = frame.to_numpy().T
        concepts.append(ScoreConcept(name=name, kind="markers", scores=by_cell[0], by_target=True, matched=by_cell[1:]))
    return concepts


def look_up(
    mdata: MuData, setup: Setup, name: str, genes: Sequence[str]
) -> tuple[str, Matrix, NDArray[np.intp], NDArray[np.intp]]:
    """Find the genes of a set in the data and in the model.

    Returns
    -------
    modality
        That has the genes.
    values
        Of this modality for the model's features that the data have, cells x known features.
    indices
        Columns of the set in `values`.
    known
        Positions of these columns among the model's features.
    """
    modality = find_modality(mdata, setup, name, genes)
    features = setup.feature_names[modality]
    columns = match_features(features, mdata.mod[modality], is_protein=is_protein(modality, setup)).columns
    known = np.flatnonzero(columns >= 0)
    indices = pd.Index(features)[known].get_indexer(list(genes))
    # Counts are divided by the total over the model's features, as the model does.
    values = values_of(mdata, modality, setup.layers[modality])[:, columns[known]]
    values = sparse.csr_matrix(values) if sparse.issparse(values) else values
    values = log_normalize(values) if setup.likelihood(modality).reads_counts else values
    return modality, values, np.unique(indices), known


def find_modality(mdata: MuData, setup: Setup, name: str, genes: Sequence[str]) -> str:
    """The modality that has the genes."""
    if isinstance(genes, str) or not len(genes):
        raise ValueError(f"Gene set {name!r} must be a list of at least one gene; found {genes!r}.")
    if wrong := [gene for gene in genes if not isinstance(gene, str)]:
        raise ValueError(
            f"Gene set {name!r} must list names of genes; found {wrong[0]!r} among {len(genes)} entries. A column of a "
            "table that is shorter than others ends in such: table[column].dropna()."
        )
    candidates = [modality for modality in setup.modalities if modality in mdata.mod]
    names = {
        m: names_in_model(setup.feature_names[m], mdata.mod[m], is_protein=is_protein(m, setup)) for m in candidates
    }
    modality = max(candidates, key=lambda m: int(names[m].isin(genes).sum()))
    measured = set(names[modality])
    known = [feature for feature in setup.feature_names[modality] if feature in measured]
    if missing := [gene for gene in genes if gene not in known]:
        raise ValueError(
            f"mdata[{modality!r}] lacks {len(missing)} of the {len(genes)} genes of the set {name!r}: "
            f"{shorten(missing)}. Correct them, or leave them out. It has no feature "
            f"{missing[0]!r}{nearest(missing[0], known)}"
        )
    return modality


def gene_set_scores(
    values: Matrix, genes: NDArray[np.intp], n_matched: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Scores (n_cells, 1 + n_matched) of a gene set and of random sets of genes from the same bins.

    Parameters
    ----------
    values
        Cells x genes, normalized; NaN counts as the gene's mean.
    genes
        Columns of the set.
    n_matched
        Random sets.
    rng
        Draws them.
    """
    mean, std = moments(values)
    bins = expression_bins(mean)
    sets = [genes, *(random_set(bins, genes, rng) for _ in range(n_matched))]
    weights = np.stack([set_weights(bins, indices) for indices in sets], axis=1)
    weights = np.divide(weights, std[:, None], out=np.zeros_like(weights), where=std[:, None] > 0)
    if not sparse.issparse(values):
        values = np.where(np.isnan(values), mean, values)
    return np.asarray(values @ weights - mean @ weights)


def expression_bins(mean: NDArray[np.float64]) -> NDArray[np.intp]:
    """Bin of every gene, by the rank of its mean."""
    n_bins = int(np.clip(len(mean) // BIN_SIZE, 1, MAX_BINS))
    return np.argsort(np.argsort(mean, kind="stable")) * n_bins // len(mean)


def moments(values: Matrix) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation of every gene."""
    if not sparse.issparse(values):
        return np.nanmean(values, axis=0, dtype=np.float64), np.nanstd(values, axis=0, dtype=np.float64)
    mean = np.asarray(values.mean(axis=0, dtype=np.float64)).ravel()
    square = np.asarray(values.astype(np.float64).power(2).mean(axis=0)).ravel()
    return mean, np.sqrt(np.maximum(square - mean**2, 0))


def set_weights(bins: NDArray[np.intp], genes: NDArray[np.intp]) -> NDArray[np.float64]:
    """What each gene adds to a score: its share of the set, minus its share of the other genes of the bins."""
    weights = np.zeros(len(bins))
    weights[genes] = 1 / len(genes)
    for b, n in zip(*np.unique(bins[genes], return_counts=True), strict=True):
        controls = np.setdiff1d(np.flatnonzero(bins == b), genes)
        if len(controls):
            weights[controls] -= n / len(genes) / len(controls)
    return weights


def random_set(bins: NDArray[np.intp], genes: NDArray[np.intp], rng: np.random.Generator) -> NDArray[np.intp]:
    """As many genes from each bin as the set has there; other genes than the set's where there are enough."""
    samples = []
    for b, n in zip(*np.unique(bins[genes], return_counts=True), strict=True):
        others = np.setdiff1d(np.flatnonzero(bins == b), genes)
        samples.append(rng.choice(others if len(others) >= n else np.flatnonzero(bins == b), n, replace=False))
    return np.concatenate(samples)
