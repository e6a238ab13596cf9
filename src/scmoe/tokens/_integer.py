"""Whole-number levels on a logarithmic scale, as in scBERT."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy import sparse

from scmoe.arguments._checked import checks_fields
from scmoe.tokens._rows import row_blocks, sum_rows
from scmoe.tokens._tokenizer import TARGET_SUM, Tokenizer
from scmoe.tokens._tokens import Tokens

_MANTISSA_BITS, _EXPONENT_BIAS = 52, 1023


@checks_fields
@dataclass(kw_only=True, eq=False)
class IntegerTokenizer(Tokenizer):
    """One token a gene of level 1 or more; value = min(floor(log2(1 + 1e4 count / total)), `max_level`).

    As in the code of scBERT (Yang et al. 2022), which cuts off the fraction (the paper says that it rounds). A count
    below 1 in 10 000 has level 0, like a gene without counts, and no token.

    Parameters
    ----------
    n_genes
        Number of genes of the vocabulary; set by `fit`.
    max_level
        The highest level.
    """

    kind: ClassVar[str] = "integer"
    max_level: int = 5

    @property
    def n_codes(self) -> int:
        """The levels and 0."""
        return self.max_level + 1

    def _encode(self, counts: sparse.csr_matrix, totals: np.ndarray) -> Tokens:
        genes, values = [np.empty(0, np.int32)], [np.empty(0, np.float32)]
        n_tokens = np.zeros(counts.shape[0], np.int64)
        for block in row_blocks(counts):
            level = TARGET_SUM * block.data.astype(np.float64)
            level /= np.repeat(totals[block.rows], block.lengths)
            level += 1
            # The exponent of a float is the floor of its logarithm, exact where a logarithm would be rounded.
            value = (level.view(np.int64) >> _MANTISSA_BITS) - _EXPONENT_BIAS
            mask = value > 0
            genes.append(block.gene[mask].astype(np.int32, copy=False))
            values.append(np.minimum(value[mask], self.max_level).astype(np.float32))
            n_tokens[block.rows] = sum_rows(mask, np.concatenate([[0], np.cumsum(block.lengths)]), np.int64)
        offsets = np.concatenate([[0], np.cumsum(n_tokens)])
        return Tokens(np.concatenate(genes), np.concatenate(values), offsets, np.zeros(counts.shape[0], np.int64))
