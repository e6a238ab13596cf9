"""A simulated tissue: regions, types of cells, and genes that answer to the neighbors."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData
from numpy.typing import NDArray
from scipy import sparse
from scipy.spatial import cKDTree

from scmoe._keys import SPATIAL
from scmoe.arguments._checked import checks_arguments
from scmoe.datasets._spatial_features import N_SIGNALS, Array, draw_counts, draw_genes, draw_proteins
from scmoe.io._quiet import quiet_mudata

SPACING = 10.0
"""Side of the square that a cell has for itself on average, µm."""
REACH = 2 * SPACING
"""Standard deviation of the Gaussian with which a signal fades, µm; some 25 cells count."""
PATCH = 0.3
"""Length over which regions change, as a share of the slice's side."""
N_WAVES = 60
FAVORED = (6.0, 3.0)
"""What a region adds to the share of its first type and of the next, where that of any type is 1."""
SILENT = 0.05
"""What other types make of a signal, where its senders make 1 on average."""
GENE_DEPTH, PROTEIN_DEPTH = 300.0, 1500.0
"""Mean counts of a cell: shallow, as with imaging panels."""
SLICE_SD = 0.15
"""Standard deviation of a slice's effect on the logarithm of a rate."""
MIN_CELLS = 20
"""Of one slice."""


@checks_arguments
def simulate_spatial(
    n_cells: int = 1200,
    *,
    n_slices: int = 1,
    n_regions: int = 4,
    n_types: int = 6,
    n_genes: int = 200,
    n_proteins: int = 30,
    influence: float = 1.0,
    seed: int = 0,
) -> MuData:
    r"""Simulate slices of a tissue whose cells answer to signals of their neighbors.

    1. Cells lie at random in a square, one per 100 µm² on average. Each region has a smooth random field; a cell
       belongs to the region whose field is highest where it lies.
    2. All regions hold all types of cells; region r holds most of type r, and many of type r + 1. A region acts on
       its cells in no other way.
    3. Each of three signals is made by the cells of one type, in amounts a that vary from cell to cell; the rate of
       one gene, the ligand, is proportional to a. Cell i receives
       :math:`s_i = \sum_{j \ne i} a_j \exp(-d_{ij}^2 / 2 \ell^2)` from the other cells of its slice, with a reach
       :math:`\ell` of 20 µm; z is log(1 + s), standardized over all cells.
    4. The rate of a gene is exp(base + marker of the type + `influence` x strength x z + effect of the slice), scaled
       to the cell's depth, 300 counts on average. Markers and responding genes are different genes. Counts are
       negative-binomial.
    5. A protein has 80 % of the marker effect and of the response of one gene, and 1500 counts a cell.

    So one cell tells of its region what its type tells, and its neighbors tell more (see `scmoe.pp.niche`). What its
    neighbors do to its responding genes, its other genes do not say.

    Parameters
    ----------
    n_cells
        Cells in all slices together.
    n_slices
        Slices, each a square of its own with its own map of the regions: coordinates of different slices overlap.
    n_regions, n_types
        Regions, and types of cells: at least three, and no fewer than regions.
    n_genes, n_proteins
        Features. Of the genes a quarter are markers, three are ligands and a sixth are responding genes, in random
        order.
    influence
        Of the neighbors; 0: none.
    seed
        Of everything random.

    Returns
    -------
    MuData
        ``rna`` (CSR) and ``protein`` (dense), raw counts (float32); ``obs["slice"]``, ``obs["region"]`` and
        ``obs["cell_type"]``; ``obsm["spatial"]``, cells x 2 in µm, of the MuData and of both modalities, where
        squidpy looks for it. The truth: ``mdata["rna"].var`` with ``marker_of`` (a type), ``ligand`` and
        ``responds_to`` (a signal; "" for none) and ``strength`` (the factor of z, 0 for none);
        ``mdata["protein"].var`` with the same but ``ligand``, and ``gene``; ``mdata.obsm["signal"]``, z by cell and
        signal; ``mdata.uns["simulation"]`` with ``proportions`` (regions x types), ``senders`` (signal to type),
        ``influence``, ``reach`` (µm) and ``seed``.

    Raises
    ------
    TypeError
        A number of things is not a whole number, or `influence` is not a number.
    ValueError
        A number is too small, there are more regions than types, or `influence` is negative or not finite.

    Examples
    --------
    >>> import scmoe
    >>> mdata = scmoe.datasets.simulate_spatial(n_slices=2)
    >>> mdata.shape
    (1200, 230)
    """
    _check_sizes(n_cells, n_slices, n_regions, n_types, n_genes, n_proteins)
    rng = np.random.default_rng(seed)
    slices = np.sort(np.arange(n_cells) % n_slices)
    proportions = _proportions(n_regions, n_types)
    spatial, region = _tissue(slices, n_regions, rng)
    cell_type = (rng.random((n_cells, 1)) > proportions.cumsum(axis=1)[region, :-1]).sum(axis=1)
    senders = rng.choice(n_types, size=N_SIGNALS, replace=False)
    amounts = np.where(cell_type[:, None] == senders, rng.gamma(2.0, 0.5, size=(n_cells, N_SIGNALS)), SILENT)
    signal = _received(spatial, slices, amounts)
    genes = draw_genes(n_genes, n_types, rng)
    parts = {}
    for name, features, depth in (
        ("rna", genes, GENE_DEPTH),
        ("protein", draw_proteins(genes, n_proteins, rng), PROTEIN_DEPTH),
    ):
        effect = SLICE_SD * rng.normal(size=(n_slices, len(features.var)))
        counts = draw_counts(features.log_rate(cell_type, amounts, influence * signal) + effect[slices], depth, rng)
        parts[name] = AnnData(sparse.csr_matrix(counts) if name == "rna" else counts, var=features.var)
    mdata = _annotated(parts, spatial, {"slice": slices, "region": region, "type": cell_type}, signal)
    mdata.uns["simulation"] = {
        "proportions": pd.DataFrame(proportions, _names("region", n_regions), _names("type", n_types)),
        "senders": {f"signal{i}": f"type{sender}" for i, sender in enumerate(senders)},
        "influence": float(influence),
        "reach": REACH,
        "seed": seed,
    }
    return mdata


def _check_sizes(n_cells: int, n_slices: int, n_regions: int, n_types: int, n_genes: int, n_proteins: int) -> None:
    for name, value, least, why in (
        ("n_slices", n_slices, 1, ""),
        ("n_cells", n_cells, MIN_CELLS * n_slices, f", {MIN_CELLS} a slice"),
        ("n_regions", n_regions, 1, ""),
        ("n_types", n_types, max(N_SIGNALS, n_regions), f", for {N_SIGNALS} signals and n_regions={n_regions}"),
        ("n_genes", n_genes, 6 * n_types, ", 6 a type"),
        ("n_proteins", n_proteins, 1, ""),
    ):
        if value < least:
            raise ValueError(f"{name} must be at least {least}{why}; found {value}.")
    if n_proteins > n_genes:
        raise ValueError(f"n_proteins must be at most n_genes={n_genes}, for each has its gene; found {n_proteins}.")


def _names(prefix: str, n: int) -> list[str]:
    return [f"{prefix}{i}" for i in range(n)]


def _proportions(n_regions: int, n_types: int) -> Array:
    """Shares of the types in the regions, regions x types."""
    shares = np.ones((n_regions, n_types))
    for step, more in enumerate(FAVORED):
        shares[np.arange(n_regions), (np.arange(n_regions) + step) % n_types] += more
    return shares / shares.sum(axis=1, keepdims=True)


def _tissue(slices: NDArray[np.integer], n_regions: int, rng: np.random.Generator) -> tuple[Array, NDArray[np.integer]]:
    """Coordinates in µm, cells x 2, and the region of each cell."""
    spatial, region = np.empty((len(slices), 2)), np.empty(len(slices), dtype=int)
    for index in np.unique(slices):
        cells = np.flatnonzero(slices == index)
        side = SPACING * np.sqrt(len(cells))
        spatial[cells] = rng.uniform(0, side, size=(len(cells), 2))
        waves = rng.normal(size=(n_regions, 2, N_WAVES)) / (PATCH * side)
        phases = rng.uniform(0, 2 * np.pi, size=(n_regions, 1, N_WAVES))
        fields = np.cos(spatial[cells] @ waves + phases).sum(axis=2)
        # Standardized, so that no region is the highest nearly everywhere.
        fields = (fields - fields.mean(axis=1, keepdims=True)) / fields.std(axis=1, keepdims=True)
        region[cells] = fields.argmax(axis=0)
    return spatial, region


def _received(spatial: Array, slices: NDArray[np.integer], amounts: Array) -> Array:
    """Signals that reach each cell from others of its slice: log(1 + s), standardized, cells x signals."""
    signal = np.empty_like(amounts)
    for index in np.unique(slices):
        cells = np.flatnonzero(slices == index)
        tree = cKDTree(spatial[cells])
        distance = tree.sparse_distance_matrix(tree, 4 * REACH, output_type="coo_matrix").tocsr()
        distance.data = np.exp(-(distance.data**2) / (2 * REACH**2))
        distance.setdiag(0)
        signal[cells] = np.log1p(distance @ amounts[cells])
    return (signal - signal.mean(axis=0)) / signal.std(axis=0)


def _annotated(
    parts: Mapping[str, AnnData], spatial: Array, labels: Mapping[str, NDArray[np.integer]], signal: Array
) -> MuData:
    """Put modalities, coordinates and labels together."""
    cells = _names("cell", len(spatial))
    for adata in parts.values():
        adata.obs_names = cells
    with quiet_mudata():
        mdata = MuData(dict(parts))
    for place in (mdata, *parts.values()):
        place.obsm[SPATIAL] = spatial.copy()
    for name, values in labels.items():
        column = "cell_type" if name == "type" else name
        mdata.obs[column] = pd.Categorical([f"{name}{i}" for i in values], _names(name, values.max() + 1))
    mdata.obsm["signal"] = pd.DataFrame(signal, mdata.obs_names, _names("signal", N_SIGNALS))
    return mdata
