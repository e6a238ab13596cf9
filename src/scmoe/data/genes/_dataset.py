"""Mini-batches of tokens for the gene network: visible genes, masked genes and what is expected of them."""

from typing import NamedTuple

import numpy as np
import torch
from scipy import sparse
from torch import Tensor
from torch.utils.data import Dataset

from scmoe.data._fingerprint import fingerprint
from scmoe.tokens._counts import Cells
from scmoe.tokens._masking import Masked, MaskingPolicy
from scmoe.tokens._tokenizer import TARGET_SUM, Tokenizer
from scmoe.tokens._tokens import Tokens

N_DEPTH = 2
"""Depth tokens: of the input and asked for. They follow the genes in all tables, and come first in a cell's tokens."""
MIN_THINNED = 0.1
"""Smallest share of the counts that a thinned cell keeps."""
DEFAULT_DEPTH = "t4"
"""The depth at which cells are read, where there are depth tokens: as if 10^4 counts had been found."""


class GeneBatch(NamedTuple):
    """B cells."""

    gene: Tensor
    """(B, m) positions of the visible expressed genes in the vocabulary; 0 where padding."""
    value: Tensor
    """(B, m) float32: what the tokenizer says of them."""
    seen: Tensor
    """(B, m) boolean: which tokens exist."""
    asked: Tensor
    """(B, A) positions of the masked genes; 0 where padding."""
    hidden: Tensor
    """(B, A) boolean: which of these exist."""
    target: Tensor
    """(B, A) float32: ln(1 + 1e4 c / total) of the masked genes."""
    label: Tensor
    """(B,) integers; -1: none."""
    unknown: Tensor | None = None
    """(N,) boolean, with the depth tokens behind the genes: which were not measured; None: all were."""

    @property
    def n_cells(self) -> int:
        """B."""
        return len(self.gene)


class Draw(NamedTuple):
    """What to read: cells, and the seed of what is random about them."""

    cells: np.ndarray
    seed: tuple[int, ...] | None
    """None: nothing is masked."""


class GeneDataset(Dataset[GeneBatch]):
    """Cells as batches of tokens.

    Parameters
    ----------
    cells
        Their counts.
    tokenizer
        Fitted.
    policy
        What a `Draw` with a seed hides; None: nothing.
    depth
        For a network with depth tokens, the depth asked for (see `target_depth`); None: no such tokens. Where genes are
        masked, the depth asked for is that of the cell, and half of the cells are read at a fraction of it.
    label
        (n,) integers; -1 or None: no label.
    """

    def __init__(
        self,
        cells: Cells,
        tokenizer: Tokenizer,
        *,
        policy: MaskingPolicy | None = None,
        depth: str | None = None,
        label: np.ndarray | None = None,
    ) -> None:
        self.cells, self.tokenizer, self.policy, self.depth = cells, tokenizer, policy, depth
        self.label = np.full(len(self), -1) if label is None else label
        self.n_expressed = np.diff(cells.counts.indptr)
        missing = cells.match.missing
        n_depth = N_DEPTH * (depth is not None)
        self.unknown = torch.from_numpy(np.pad(missing, (0, n_depth))) if missing.any() else None

    def __len__(self) -> int:
        return self.cells.counts.shape[0]

    def fingerprint(self) -> int:
        """A number that other counts, genes or labels do not have."""
        return fingerprint(self.cells.counts, self.cells.totals, self.label, names=self.cells.match.vocabulary.names)

    def __getitem__(self, draw: Draw) -> GeneBatch:
        """Read cells; what is masked is a function of the draw's seed."""
        counts, total = self.cells.counts[draw.cells], self.cells.totals[draw.cells]
        nothing = np.zeros((len(draw.cells), 0), np.int64)
        targets = nothing, nothing.astype(bool), nothing.astype(np.float32)
        input_total = total
        if draw.seed is None or self.policy is None:
            tokens = self.tokenizer.transform(counts, total)
            target_total = target_depth(self.depth or DEFAULT_DEPTH, total)
        else:
            rng = np.random.default_rng(draw.seed)
            masked = self.policy.draw(counts, rng, self.cells.match.missing)
            targets = padded_targets(counts, masked, total)
            # Before the tokenizer: ranks and bins among all genes would tell what the masked ones are.
            counts = hide(counts, masked.stored)
            if self.depth is not None:
                counts, input_total = thin(counts, total, rng)
            tokens = self.tokenizer.transform(counts, input_total)
            target_total = total
        # One place at least, for networks do not like empty batches.
        read = tokens.padded(max(int(tokens.lengths.max(initial=0)), 1))
        if self.depth is not None:
            read = with_depth(*read, input_total, target_total, counts.shape[1])
        arrays = (*read, *targets, self.label[draw.cells])
        batch = GeneBatch(*(torch.from_numpy(np.ascontiguousarray(array)) for array in arrays))
        return batch._replace(unknown=self.unknown)


def padded_targets(
    counts: sparse.csr_matrix, masked: Masked, total: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Masked genes (B, A) of each cell, which of them exist, and their values ln(1 + 1e4 c / total)."""
    n = counts.shape[0]
    row = np.repeat(np.arange(n), np.diff(counts.indptr))[masked.stored]
    value = np.log1p(TARGET_SUM * counts.data[masked.stored] / np.maximum(total[row], 1))
    value = np.concatenate([value, np.zeros(len(masked.zero_row))])
    gene = np.concatenate([counts.indices[masked.stored], masked.zero_gene])
    row = np.concatenate([row, masked.zero_row])
    order = np.argsort(row, kind="stable")
    offsets = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=n))])
    asked, target, hidden = Tokens(gene[order], value[order], offsets, np.zeros(n, np.int64)).padded()
    return asked.astype(np.int64), hidden, target


def hide(counts: sparse.csr_matrix, stored: np.ndarray) -> sparse.csr_matrix:
    """The counts without those that are masked."""
    indptr = np.concatenate([[0], np.cumsum(~stored)])[counts.indptr]
    return sparse.csr_matrix((counts.data[~stored], counts.indices[~stored], indptr), counts.shape)


def thin(
    counts: sparse.csr_matrix, total: np.ndarray, rng: np.random.Generator
) -> tuple[sparse.csr_matrix, np.ndarray]:
    """Half of the cells at a random share of their depth (each molecule stays with that probability), and totals."""
    share = np.where(rng.random(len(total)) < 0.5, rng.uniform(MIN_THINNED, 1, len(total)), 1)
    molecules = rng.binomial(counts.data.astype(np.int64), np.repeat(share, np.diff(counts.indptr)))
    thinned = sparse.csr_matrix(
        (molecules.astype(np.float32), counts.indices.copy(), counts.indptr.copy()), counts.shape
    )
    thinned.eliminate_zeros()
    outside = rng.binomial((total - np.asarray(counts.sum(1)).ravel()).clip(0).astype(np.int64), share)
    return thinned, np.asarray(thinned.sum(1)).ravel() + outside


def with_depth(
    gene: np.ndarray, value: np.ndarray, seen: np.ndarray, total: np.ndarray, wanted: np.ndarray, n_genes: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two more tokens before the others: log10 of the total of the input and of the total asked for."""
    depth = np.log10(np.maximum(np.stack([total, wanted], 1), 1)).astype(np.float32)
    identity = np.broadcast_to(np.arange(n_genes, n_genes + N_DEPTH, dtype=gene.dtype), depth.shape)
    real = np.ones(depth.shape, bool)
    return (
        np.concatenate([identity, gene], 1),
        np.concatenate([depth, value], 1),
        np.concatenate([real, seen], 1),
    )


def target_depth(rule: str, total: np.ndarray) -> np.ndarray:
    """The total counts asked for, of scFoundation's three forms.

    ``"t4"``: 10^4 for every cell; ``"f2"``: twice the cell's own; ``"a5"``: log10 of the total raised by five.

    Raises
    ------
    ValueError
        Another form.
    """
    try:
        number = float(rule[1:])
        wanted = {"t": np.full(len(total), 10.0**number), "f": number * total, "a": total * 10.0**number}[rule[:1]]
        if not (np.isfinite(wanted).all() and number >= 0):
            raise ValueError(f"{number} is not a finite, positive number")
    except (ValueError, KeyError, OverflowError, TypeError) as error:
        raise ValueError(f"The depth asked for must look like 't4', 'f2' or 'a1'; found {rule!r}.") from error
    return wanted
