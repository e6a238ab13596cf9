"""Baselines of the joint embedding; none sees a label."""

import tempfile
from pathlib import Path

import numpy as np
from mudata import MuData
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, diags_array
from scipy.sparse.linalg import eigsh
from sklearn.metrics import pairwise_distances

from scmoe.benchmark._baselines import pca_embedding
from scmoe.benchmark._cells import aligned, stack
from scmoe.benchmark._inputs import Mosaic, Run
from scmoe.benchmark._outputs import Embedding, Integration, QueryMapping
from scmoe.benchmark.methods._method import (
    Method,
    needs_complete_cells,
    needs_few_cells,
    needs_two_modalities,
)
from scmoe.io._quiet import quiet_mudata
from scmoe.model.graph._neighbors import N_NEIGHBORS, search_of

N_COMPONENTS = 50
N_SPECTRAL = 50
"""Dimensions of the embedding of a graph."""
WNN_CANDIDATES, WNN_SPARE = 200, 5
"""Candidates for the neighbors of a cell in each modality (muon's default), and cells that are none."""
N_FACTORS = 20
"""Of MOFA+."""
SNF_NEIGHBORS, SNF_WIDTH, SNF_STEPS = 20, 0.5, 20
SNF_MAX_CELLS = 15_000
"""With more, its cells x cells matrices do not fit into the memory of a laptop."""
PREFIX = "pca_"
"""Of the name of a method that is the PCA of one modality."""


def pca_method(name: str, modalities: list[str] | None = None, *, standardize: bool = True) -> Method:
    """PCA of modalities (None: of all) side by side, with or without z-scores.

    New cells are projected. In a mosaic one modality has a method, and the cells that lack it have no place.
    """

    def points(mdata: MuData, n_fitted: int, seed: int) -> NDArray[np.float32]:
        """The first cells of the data are those that all is fitted on."""
        return pca_embedding(
            mdata, np.arange(n_fitted), N_COMPONENTS, modalities=modalities, standardize=standardize, seed=seed
        )

    def embed(mdata: MuData, run: Run) -> Embedding:
        return Embedding(points=points(mdata, mdata.n_obs, run.seed))

    def map_query(reference: MuData, query: MuData, run: Run) -> QueryMapping:
        embedding = points(stack(reference, query), reference.n_obs, run.seed)
        return QueryMapping(reference=embedding[: reference.n_obs], query=embedding[reference.n_obs :])

    def integrate(mosaic: Mosaic, run: Run) -> Integration:
        (modality,) = modalities or []
        embedding = points(mosaic.cells, mosaic.cells.n_obs, run.seed)
        embedding[~mosaic.cells.obs_names.isin(mosaic.cells.mod[modality].obs_names)] = np.nan
        return Integration(points=embedding)

    return Method(name=name, embed=embed, map_query=map_query, integrate=integrate if modalities else None)


def pca_of(modality: str) -> Method:
    """PCA of one modality."""
    return pca_method(f"{PREFIX}{modality}", [modality])


def snf(mdata: MuData, seed: int) -> Embedding:
    """Similarity network fusion (Wang et al. 2014): the modalities' kernels diffuse along each other's neighbors.

    Every cell must have every modality. Memory grows with the square of the number of cells.
    """
    kernels = []
    for name in mdata.mod:
        points = pca_embedding(mdata, np.arange(mdata.n_obs), N_COMPONENTS, modalities=[name], seed=seed)
        kernels.append(scaled_kernel(np.asarray(points, dtype=np.float64)))
    fused = fuse(kernels)
    np.fill_diagonal(fused, 0)
    return Embedding(points=spectral(fused), graph=csr_matrix(_nearest(fused)))


def scaled_kernel(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Gaussian of distances whose width follows the mean distance to the neighbors of both cells."""
    distance = pairwise_distances(points)
    k = min(SNF_NEIGHBORS, len(points) - 1)
    near = np.partition(distance, k, axis=1)[:, 1 : k + 1].mean(axis=1)
    width = SNF_WIDTH * np.maximum((near[:, None] + near[None] + distance) / 3, np.finfo(float).eps)
    return np.exp(-np.square(distance / width) / 2)


def fuse(kernels: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Cross diffusion: each normalized kernel becomes S (mean of the others) S', with S its neighbors alone."""
    full = [_normalized(kernel) for kernel in kernels]
    if len(full) == 1:
        return full[0]
    local = [csr_matrix(_nearest(kernel)) for kernel in full]
    for _ in range(SNF_STEPS):
        total = np.sum(full, axis=0)
        full = [_normalized(s @ (s @ ((total - p) / (len(full) - 1))).T) for s, p in zip(local, full, strict=True)]
    return np.mean(full, axis=0)


def _normalized(kernel: NDArray[np.float64]) -> NDArray[np.float64]:
    """Half of the weight on the cell itself, the other half on the others by similarity; symmetric."""
    others = kernel.copy()
    np.fill_diagonal(others, 0)
    others /= 2 * np.maximum(others.sum(axis=1, keepdims=True), np.finfo(float).tiny)
    np.fill_diagonal(others, 0.5)
    return (others + others.T) / 2


def _nearest(kernel: NDArray[np.float64]) -> NDArray[np.float64]:
    """The largest entries of each row, which sum to one."""
    k = min(SNF_NEIGHBORS, len(kernel) - 1)
    least = np.partition(kernel, -k, axis=1)[:, -k][:, None]
    near = np.where(kernel >= least, kernel, 0)
    return near / np.maximum(near.sum(axis=1, keepdims=True), np.finfo(float).tiny)


def spectral(graph: NDArray[np.float64] | csr_matrix, width: int = N_SPECTRAL) -> NDArray[np.float64]:
    """Leading eigenvectors of the normalized similarities, times their eigenvalues, without the constant one."""
    degree = np.asarray(graph.sum(axis=1)).ravel()
    root = 1 / np.sqrt(np.maximum(degree, np.finfo(float).tiny))
    scaled = (
        graph * root[:, None] * root if isinstance(graph, np.ndarray) else diags_array(root) @ graph @ diags_array(root)
    )
    start = np.random.default_rng(0).random(len(degree))
    values, vectors = eigsh(scaled, k=min(width + 1, len(degree) - 1), which="LA", v0=start)
    return (vectors * np.maximum(values, 0))[:, ::-1][:, 1:]


def wnn(mdata: MuData, seed: int) -> Embedding:
    """Weighted nearest neighbors of muon, on the principal components of each modality."""
    import muon
    import scanpy as sc

    with quiet_mudata():
        cells = aligned(mdata)
        for name in cells.mod:
            adata = cells.mod[name]
            components = pca_embedding(cells, np.arange(cells.n_obs), N_COMPONENTS, modalities=[name], seed=seed)
            adata.obsm["X_pca"] = components
            search = search_of(adata.n_obs, N_NEIGHBORS, seed)
            sc.pp.neighbors(adata, n_neighbors=N_NEIGHBORS, use_rep="X_pca", random_state=seed, transformer=search)
        # muon asks for its 200 candidates and the cell itself, and crashes where there are not so many cells.
        n_candidates = min(WNN_CANDIDATES, cells.n_obs - WNN_SPARE)
        muon.pp.neighbors(cells, n_multineighbors=n_candidates, random_state=seed)
    graph = csr_matrix(cells.obsp["connectivities"], dtype=np.float64)
    return Embedding(points=spectral(graph), graph=graph)


def mofa(mdata: MuData, seed: int) -> Embedding:
    """MOFA+ with Gaussian likelihoods; muon would guess others from the type of the values."""
    import muon

    with quiet_mudata(), tempfile.TemporaryDirectory() as folder:
        cells = aligned(mdata)
        for name in cells.mod:
            cells.mod[name].var = cells.mod[name].var[[]]
        muon.tl.mofa(
            cells,
            n_factors=N_FACTORS,
            likelihoods=["gaussian"] * len(cells.mod),
            scale_views=True,
            use_obs="union",
            use_var=None,
            seed=seed,
            outfile=str(Path(folder) / "mofa.hdf5"),
            quiet=True,
        )
    return Embedding(points=np.asarray(cells.obsm["X_mofa"]))


PCA = (pca_method("pca"), pca_method("pca_unscaled", standardize=False))
METHODS = (
    Method(
        name="snf",
        embed=lambda mdata, run: snf(mdata, run.seed),
        unsuited=lambda run, facts: (
            needs_complete_cells(facts) or needs_two_modalities(facts) or needs_few_cells(facts, SNF_MAX_CELLS)
        ),
    ),
    Method(
        name="wnn",
        embed=lambda mdata, run: wnn(mdata, run.seed),
        unsuited=lambda run, facts: needs_complete_cells(facts) or needs_two_modalities(facts),
        libraries=("muon",),
        slow=True,
    ),
    Method(
        name="mofa",
        embed=lambda mdata, run: mofa(mdata, run.seed),
        libraries=("mofapy2.run.entry_point", "muon"),
        slow=True,
    ),
)
