"""Real-numbered values, as in xTrimoGene and scFoundation."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy import sparse

from scmoe.arguments._checked import checks_fields
from scmoe.tokens._tokenizer import TARGET_SUM, Tokenizer
from scmoe.tokens._tokens import Tokens


@checks_fields
@dataclass(kw_only=True, eq=False)
class ContinuousTokenizer(Tokenizer):
    """One token a gene with counts, in the order of the vocabulary; value = ln(1 + 1e4 count / max(total, 1)).

    The network turns the number into a vector (auto-discretization, Gong et al. 2023, xTrimoGene). Nothing is lost
    but the total itself.

    Parameters
    ----------
    n_genes
        Number of genes of the vocabulary; set by `fit`.
    """

    kind: ClassVar[str] = "continuous"

    @property
    def n_codes(self) -> None:
        """None: values are real numbers."""
        return None

    def _encode(self, counts: sparse.csr_matrix, totals: np.ndarray) -> Tokens:
        scale = (TARGET_SUM / np.maximum(totals, 1)).astype(np.float32)
        value = np.repeat(scale, np.diff(counts.indptr))
        value *= counts.data
        np.log1p(value, out=value)
        gene, offsets = np.array(counts.indices, np.int32), np.array(counts.indptr, np.int64)
        return Tokens(gene, value, offsets, np.zeros(counts.shape[0], np.int64))
