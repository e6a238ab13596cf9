"""What a predictor of perturbations such as GEARS needs from a model of genes."""

from collections.abc import Iterable

import numpy as np
from anndata import AnnData
from numpy.typing import NDArray

from scmoe._keys import COUNTS_LAYER
from scmoe.arguments._checked import checks_arguments
from scmoe.pp._normalize import log_normalize
from scmoe.studies.perturbation._baselines import check_features, responses

CONTEXT = "gene_context"
"""Entry of ``varm`` with features of genes."""


@checks_arguments
def gene_context_features(context: Iterable[NDArray[np.floating]]) -> NDArray[np.float32]:
    """Average embeddings of genes in their cells over these cells.

    Parameters
    ----------
    context
        For each cell (genes, width): an array of cells x genes x width, or anything that yields cell after cell. Take
        control cells: what a perturbation does is to be predicted.

    Returns
    -------
    (genes, width), for `perturbation_table` or `to_gears`.

    Raises
    ------
    ValueError
        There are no cells, or they have not all the same genes and width.

    Examples
    --------
    >>> cells = [np.ones((5, 4)), 3 * np.ones((5, 4))]  # of two cells: genes x width
    >>> float(scmoe.studies.gene_context_features(cells).mean())
    2.0
    """
    total, n_cells = np.zeros(()), 0
    for cell in context:
        cell = np.asarray(cell, np.float64)
        if cell.ndim != 2 or (n_cells and cell.shape != total.shape):
            raise ValueError(
                "Each cell must have genes x width, the same for all; "
                f"found the shape {cell.shape} for cell {n_cells + 1}."
            )
        total, n_cells = total + cell, n_cells + 1
    if not n_cells:
        raise ValueError("There are no cells to average over. Pass the context of control cells.")
    return np.asarray(total / n_cells, np.float32)


@checks_arguments
def to_gears(screen: AnnData, gene_features: NDArray[np.floating]) -> AnnData:
    """A screen in the form that GEARS reads, with features of genes beside it.

    Parameters
    ----------
    screen
        Counts, ``obs["condition"]`` ("ctrl", "A+ctrl" or "A+B") and ``obs["cell_type"]``.
    gene_features
        (genes, width) in the order of ``screen.var_names``.

    Returns
    -------
    AnnData
        A copy with ln(1 + 10 000 x / total) in ``X``, counts in ``layers["counts"]``, ``var["gene_name"]``, and
        ``varm["gene_context"]``, which takes the place of the learned embeddings of genes. Write it with
        ``write_h5ad``.

    Raises
    ------
    ValueError
        The screen is unusable, has no cell types, or features do not fit its genes.

    Examples
    --------
    >>> import anndata as ad
    >>> rng = np.random.default_rng(0)
    >>> conditions = ["ctrl", *(f"g{i}+ctrl" for i in range(6))]
    >>> screen = ad.AnnData(rng.poisson(5.0, (70, 8)).astype("float32"))
    >>> screen.var_names = [f"g{i}" for i in range(8)]
    >>> screen.obs["condition"] = np.repeat(conditions, 10)
    >>> screen.obs["cell_type"] = "K562"
    >>> scmoe.studies.to_gears(screen, rng.normal(size=(8, 4))).varm["gene_context"].shape
    (8, 4)
    """
    responses(screen)  # raises if the screen is unusable
    if "cell_type" not in screen.obs:
        raise ValueError("GEARS needs obs['cell_type']; found none. Give all cells one type if they are of one line.")
    all_genes = np.ones(screen.n_vars, dtype=bool)
    out = screen.copy()
    out.layers[COUNTS_LAYER] = screen.X.copy()
    out.X = log_normalize(screen.X)
    out.var["gene_name"] = screen.var_names.to_numpy()
    out.varm[CONTEXT] = check_features(CONTEXT, gene_features, screen.var_names, all_genes).astype(np.float32)
    return out
