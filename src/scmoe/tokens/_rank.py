"""Genes in the order of their expression, as in Geneformer."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy import sparse

from scmoe._log import logger
from scmoe.arguments._checked import checks_fields
from scmoe.tokens._rows import float_keys, place_in_row, row_blocks, sort_rows
from scmoe.tokens._tokenizer import TARGET_SUM, Tokenizer
from scmoe.tokens._tokens import Tokens

_LARGEST_KEY = np.uint64(2**63 - 1)


@checks_fields
@dataclass(kw_only=True, eq=False)
class RankTokenizer(Tokenizer):
    """Genes by descending count / median of the gene, at most `limit`; value = position in the order, from 1.

    The median of a gene is that of 1e4 count / total over the training cells that have counts of it (Theodoris et al.
    2023, Geneformer). Equal values, to about nine digits, are in the order of the vocabulary. The total of a cell
    does not change its order. Genes without counts in all training cells have no median and no token.

    Parameters
    ----------
    n_genes
        Number of genes of the vocabulary; set by `fit`.
    limit
        Most tokens a cell; those of the lowest values are left out.
    medians
        (n_genes,) float64, NaN for a gene without counts; set by `fit`.
    """

    kind: ClassVar[str] = "rank"
    limit: int = 2048
    medians: np.ndarray | None = None

    @property
    def n_codes(self) -> int:
        """The positions and 0."""
        return self.limit + 1

    def _learn(self, counts: sparse.csr_matrix, totals: np.ndarray) -> None:
        if not counts.nnz:
            raise ValueError("No training cell has counts; the medians of genes cannot be learned.")
        scale = (TARGET_SUM / np.where(totals > 0, totals, 1)).astype(np.float32)
        scaled = sparse.csr_matrix(
            (counts.data * np.repeat(scale, np.diff(counts.indptr)), counts.indices, counts.indptr), counts.shape
        ).tocsc()
        self.medians = np.full(counts.shape[1], np.nan)
        for gene in np.flatnonzero(np.diff(scaled.indptr)):
            self.medians[gene] = np.median(scaled.data[scaled.indptr[gene] : scaled.indptr[gene + 1]])

    def _encode(self, counts: sparse.csr_matrix, totals: np.ndarray) -> Tokens:
        if self.medians is None:
            raise ValueError(
                "The rank tokenizer needs the medians of genes. Call fit(counts) with training cells first."
            )
        counts = _drop_unknown(counts, np.isnan(self.medians))
        lengths = np.diff(counts.indptr).astype(np.int64)
        n_tokens = np.minimum(lengths, self.limit)
        offsets = np.concatenate([[0], np.cumsum(n_tokens)])
        gene, value = np.empty(offsets[-1], np.int32), np.empty(offsets[-1], np.float32)
        for block in row_blocks(counts):
            keys = _LARGEST_KEY - float_keys(block.data / self.medians.take(block.gene))
            position, _ = sort_rows(keys, block.lengths)
            place = place_in_row(block.lengths)
            if block.lengths.max() > self.limit:
                mask = place < self.limit
                position, place = position[mask], place[mask]
            target = slice(offsets[block.rows.start], offsets[block.rows.stop])
            gene[target], value[target] = block.gene[position], place
            value[target] += 1
        return Tokens(gene, value, offsets, lengths - n_tokens)


def _drop_unknown(counts: sparse.csr_matrix, unknown: np.ndarray) -> sparse.csr_matrix:
    """Leave out the counts of genes without a median."""
    if not unknown.any():
        return counts
    mask = unknown[counts.indices]
    if not mask.any():
        return counts
    logger.info(
        "rank: %d genes have counts here but in none of the training cells; they have no median and no token.",
        len(np.unique(counts.indices[mask])),
    )
    counts = counts.copy()
    counts.data[mask] = 0
    counts.eliminate_zeros()
    return counts
