"""Counts of an AnnData, checked, and arranged by a vocabulary."""

from typing import Literal, NamedTuple

import numpy as np
from anndata import AnnData
from scipy import sparse

from scmoe._check import check_tables, layer_names
from scmoe._log import logger
from scmoe._matrix import MAX_VALUE, Matrix, check_array, check_counts, is_beyond, value_blocks
from scmoe.arguments._checked import checks_arguments
from scmoe.io._mapped import filled, with_data
from scmoe.pp._values import describe
from scmoe.tokens._names import gene_names, some
from scmoe.tokens._rows import sum_rows
from scmoe.tokens._tokenizer import TARGET_SUM
from scmoe.tokens._vocabulary import MIN_SHARE, Match, Vocabulary

Values = Literal["counts", "ambient", "lognormalized"]
MAX_TOTAL = 1.01 * TARGET_SUM
"""Of a cell's values before the logarithm, which may have been stored with few digits."""


class Cells(NamedTuple):
    """Counts of cells as tokenizers take them.

    Parameters
    ----------
    counts
        Cells x vocabulary, float32 CSR without stored zeros.
    totals
        (n_cells,) float64: total counts of each cell over all genes measured, in the vocabulary or not.
    match
        How the genes of the data fit the vocabulary.
    """

    counts: sparse.csr_matrix
    totals: np.ndarray
    match: Match


@checks_arguments
def read_cells(
    adata: AnnData,
    vocabulary: Vocabulary | None = None,
    *,
    layer: str | None = None,
    values: Values = "counts",
    column: str | None = None,
    min_share: float = MIN_SHARE,
) -> Cells:
    """Read the counts of an AnnData for a tokenizer, and report in the log how its genes fit the vocabulary.

    Parameters
    ----------
    adata
        Cells x genes; not changed.
    vocabulary
        The genes to arrange counts by; by default those of the data.
    layer, values
        As in `read_counts`.
    column
        Column of ``adata.var`` that holds the names to match; `var_names` by default. Genes whose name is missing
        there are left out, and their number is reported.
    min_share
        As in `Vocabulary.match`.

    Returns
    -------
    Cells
        Counts, totals and the match. Cells without counts are kept, and reported in the log.

    Raises
    ------
    KeyError
        There is no such layer or column.
    ValueError
        As in `read_counts` and `Vocabulary.match`.

    Examples
    --------
    >>> adata = scmoe.datasets.bmmc_cite()["rna"]
    >>> vocabulary = scmoe.tokens.Vocabulary.from_anndata(adata)
    >>> cells = scmoe.tokens.read_cells(adata, vocabulary)
    >>> cells.counts.shape
    (600, 1000)
    """
    counts = read_counts(adata, layer, values)
    names = gene_names(adata, column)
    match = (vocabulary or Vocabulary.from_anndata(adata)).match(names, min_share)
    if match.unmatched or match.n_unnamed or match.duplicated or match.missing.any():
        logger.info("%s", match)
    totals = sum_rows(counts.data, counts.indptr)
    arranged = match.apply(counts)
    mask = (totals > 0) & (np.diff(arranged.indptr) == 0)
    if mask.any():
        _report_empty(adata, mask, "have counts of genes outside the vocabulary only")
    if values == "lognormalized":
        totals[:] = TARGET_SUM  # also where genes were left out after normalization
    return Cells(arranged, totals, match)


@checks_arguments
def read_counts(adata: AnnData, layer: str | None = None, values: Values = "counts") -> sparse.csr_matrix:
    """Read counts of an AnnData, after checking that they are such.

    Parameters
    ----------
    adata
        Cells x genes; not changed.
    layer
        Where the values are; ``adata.X`` by default.
    values
        ``"counts"``: whole numbers. ``"ambient"``: counts that a correction for ambient RNA made fractional.
        ``"lognormalized"``: ln(1 + 1e4 count / total), as in `scanpy.datasets.pbmc68k_reduced`
        (``adata.raw.to_adata()``). They are turned into 1e4 count / total. The proportions of a cell's genes are then
        right; its total is not known, and 1e4 takes its place. Values of a larger total are refused. Values of a
        smaller one cannot be told from a selection of genes.

    Returns
    -------
    scipy.sparse.csr_matrix
        Cells x genes; may share memory with the AnnData. Cells without counts are kept, and reported in the log.

    Raises
    ------
    KeyError
        There is no such layer.
    TypeError
        This is not an AnnData.
    ValueError
        There is no cell or gene, or the values are not what `values` says: negative, NaN, infinite, fractional, too
        large for logarithms, or made otherwise (another total, base 2, whole numbers).

    Examples
    --------
    >>> adata = scmoe.datasets.bmmc_cite()["rna"]
    >>> scmoe.tokens.read_counts(adata).shape
    (600, 1000)
    """
    check_anndata(adata)
    if layer is not None and layer not in adata.layers:
        raise KeyError(f"There is no layer {layer!r}; adata.layers has {layer_names(adata)}.")
    if 0 in adata.shape:
        raise ValueError(f"Expected cells and genes, found {adata.n_obs} and {adata.n_vars}. Check the filters before.")
    where = "X" if layer is None else f"layers[{layer!r}]"
    matrix = adata.X if layer is None else adata.layers[layer]
    if values == "counts":
        check_counts(matrix, None, where, adata.obs_names, adata.var_names)
    else:
        _check_positive(matrix, where)
    # SciPy knows no half precision.
    counts = sparse.csr_matrix(matrix.astype(np.float32) if matrix.dtype == np.float16 else matrix)
    if values == "lognormalized":
        with np.errstate(over="ignore"):  # refused below
            dtype = np.expm1(counts.data[:1]).dtype
            raised = filled(map(np.expm1, value_blocks(counts)), (counts.nnz,), dtype, beside=counts)
            counts = with_data(counts, raised)
    totals = sum_rows(counts.data, counts.indptr)
    if values == "lognormalized":
        _check_totals(totals, matrix.max(), where)
    if values != "counts":
        _check_origin(matrix, values, where)
    empty = totals == 0
    if empty.any():
        _report_empty(adata, empty, "have no counts")
    return counts


def check_anndata(adata: object) -> None:
    """Raise if this is not an AnnData that can be read."""
    if not isinstance(adata, AnnData):
        raise TypeError(
            f'Expected an AnnData, found {type(adata).__name__}. Of a MuData, pass one modality: mdata["rna"].'
        )
    check_tables(adata)


def _check_positive(matrix: Matrix, where: str) -> None:
    check_array(matrix, None, where)
    for values in value_blocks(matrix):
        wrong = ~(np.isfinite(values) & (values >= 0)) | is_beyond(values)
        if not wrong.any():
            continue
        raise ValueError(
            f"adata.{where} must not hold negative, NaN or infinite values, or any above {MAX_VALUE:g}; found "
            f"{values[wrong][0]:.6g}. If the values are scaled or centered, take those from before that step: a layer, "
            "or adata.raw.to_adata()."
        )


def _check_totals(totals: np.ndarray, highest: float, where: str) -> None:
    """Raise if values, with this highest one, cannot have been ln(1 + 1e4 c / total) of some of a cell's genes."""
    if totals.max() > MAX_TOTAL:
        raise ValueError(
            f"adata.{where} must hold ln(1 + 1e4 count / total), so that exp(value) - 1 adds up to {TARGET_SUM:g} at "
            f"most; found a cell with {totals.max():.4g} (highest value {highest:.6g}). If these are counts, pass "
            'values="counts"; if they were normalized to another total or logarithm, take the raw counts.'
        )


def _check_origin(matrix: Matrix, values: Values, where: str) -> None:
    """Raise if values, as they look, were made otherwise than is said."""
    origin = describe(matrix)
    is_other = values == "ambient" and origin.name == "logarithms"
    if values == "lognormalized" and origin.name != "empty":
        has_other_total = origin.total > 0 and abs(origin.total - TARGET_SUM) > MAX_TOTAL - TARGET_SUM
        is_other = origin.name not in ("logarithms", "unknown") or origin.base not in ("", "e") or has_other_total
    if is_other:
        expected = "counts without ambient RNA" if values == "ambient" else "ln(1 + 1e4 count / total)"
        raise ValueError(
            f"adata.{where} must hold {expected}, as values={values!r} says; found {origin.reason}. Say what they are "
            "with values=, or take the raw counts."
        )


def _report_empty(adata: AnnData, empty: np.ndarray, what: str) -> None:
    logger.info("%d cells %s and get no tokens: %s.", int(empty.sum()), what, some(adata.obs_names[empty].tolist()))
