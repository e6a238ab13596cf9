"""Prediction of masked genes in cells that are thinned."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from anndata import AnnData
from numpy.typing import NDArray
from scipy import sparse

from scmoe.studies.genes._data import LABEL, share_for, thinned
from scmoe.studies.genes._masked import Masked, correlation, mask
from scmoe.tokens._counts import Cells
from scmoe.tokens._masking import MaskingPolicy

MIN_ENTRIES = 50
"""Masked genes of a cell type for a correlation of its own."""
DepthPredictor = Callable[[Masked, str], NDArray[np.float64]]
"""Masked genes, and the depth at which a model with depth tokens is to read them."""


def sparsity_curve(predict: DepthPredictor, test: AnnData, zeros: Sequence[float], seed: int) -> list[dict[str, Any]]:
    """Correlation of predicted and true values of masked expressed genes, at rising shares of zeros.

    The same genes are masked at all shares: 30 % of those that the whole cells express. ``full`` compares with their
    values in the whole cells, in the same entries throughout; ``thinned`` with their values in the thinned cells, where
    they are still expressed.

    Returns
    -------
    One row a share of zeros, the cells' own first: ``zeros``, ``kept`` (share of the molecules), ``full``, ``thinned``,
    and by label ``full_by_label``, ``thinned_by_label``.
    """
    whole = mask(test, seed, MaskingPolicy(zero_rate=0.0))
    label = test.obs[LABEL].to_numpy(dtype=object)[whole.row]
    own = 1 - test.X.nnz / np.prod(test.shape, dtype=float)
    rows = []
    for level in (own, *(share for share in zeros if share > own)):
        share = 1.0 if level == own else share_for(test, level)
        cells = thinned(test, share, seed)
        masked, values = hide_again(whole, cells)
        there = values > 0
        as_whole = predict(masked, f"f{1 / share}")
        # The values of thinned cells are relative to their own depth, and so must be what is compared with them.
        as_thinned = as_whole if share == 1 else predict(masked, "f1")
        row: dict[str, Any] = {"zeros": float(1 - cells.X.nnz / np.prod(cells.shape, dtype=float)), "kept": share}
        pairs = {"full": (as_whole, whole.target, there | True), "thinned": (as_thinned, values, there)}
        for name, (predicted, truth, used) in pairs.items():
            row[name] = correlation(predicted[used], truth[used])
            of_labels = {text: used & (label == text) for text in sorted({x for x in label if isinstance(x, str)})}
            row[f"{name}_by_label"] = {
                text: correlation(predicted[entries], truth[entries])
                for text, entries in of_labels.items()
                if entries.sum() >= MIN_ENTRIES
            }
        rows.append(row)
    return rows


def hide_again(whole: Masked, cells: AnnData) -> tuple[Masked, NDArray[np.float64]]:
    """The same genes hidden in thinned cells, and their values there."""
    counts = sparse.csr_matrix(cells.X)
    totals = np.asarray(counts.sum(1), np.float64).ravel()
    count = np.asarray(counts[whole.row, whole.gene], np.float64).ravel()
    values = np.log1p(1e4 * count / np.maximum(totals[whole.row], 1))
    mask = sparse.csr_matrix((np.ones(len(whole.row), bool), (whole.row, whole.gene)), counts.shape)
    visible = sparse.csr_matrix(counts - counts.multiply(mask))
    visible.eliminate_zeros()
    visible.sort_indices()
    return whole._replace(visible=Cells(visible, totals, whole.visible.match)), values
