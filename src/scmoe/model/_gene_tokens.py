"""Gene tokens of an `SCMOE`: which modalities get them, and where their encoders start."""

import numpy as np
import pandas as pd
import torch
from scipy import sparse

from scmoe.data._dataset import MosaicDataset
from scmoe.data._setup import Setup
from scmoe.data.sparse._rows import dense
from scmoe.data.statistics._statistics import CHUNK
from scmoe.model.genes._inference import axes_of
from scmoe.model.genes._start import MAX_CELLS, start_encoder
from scmoe.nn._network import Network
from scmoe.nn._threads import threads_for
from scmoe.nn.genes._tokenizer import GeneTokenizer
from scmoe.tokens._counts import MAX_TOTAL
from scmoe.tokens._rows import sum_rows
from scmoe.tokens._tokens import Tokens

RNA_KINDS = ("rna", "lognormalized")
"""Kinds (see `scmoe.pp.prepare`) whose values are ln(1 + 1e4 c / total)."""
BATCH_SIZE = 128
"""Cells that are encoded at once."""


def rna_positions(setup: Setup) -> list[int]:
    """Positions of the modalities with RNA; a ValueError if there is none."""
    found = [v for v, name in enumerate(setup.modalities) if setup.kinds.get(name) in RNA_KINDS]
    if not found:
        kinds = ", ".join(f"{name!r}: {setup.kinds.get(name, 'not prepared')}" for name in setup.modalities)
        raise ValueError(
            f"tokenizer='genes' needs a modality of the kind {' or '.join(map(repr, RNA_KINDS))}; found {kinds}. Say "
            "which one is "
            "RNA with scmoe.pp.prepare(mdata, kinds={...: 'rna'}), or leave tokenizer out."
        )
    return found


def start_encoders(network: Network, dataset: MosaicDataset, train: np.ndarray, seed: int) -> None:
    """Start gene encoders that are not pretrained from the training cells.

    And find the axes of the pooled states of all.
    """
    for v, tokenizer in enumerate(network.tokenizers):
        if not isinstance(tokenizer, GeneTokenizer):
            continue
        cells = train[dataset.present[train, v]]
        cells = np.sort(np.random.default_rng(seed).permutation(cells)[:MAX_CELLS])
        values = read_values(dataset, cells, v)
        name = dataset.setup.modalities[v]
        genes = pd.Index(dataset.setup.feature_names[name])
        scaled_over = genes.isin(dataset.setup.total_features.get(name, genes))
        check_scale(values[:, np.flatnonzero(scaled_over)], name)
        if not tokenizer.is_pretrained:
            n_cut = np.zeros(len(cells), np.int64)
            tokens = Tokens(values.indices, values.data, values.indptr.astype(np.int64), n_cut)
            start_encoder(tokenizer.encoder, tokens, None, seed)
        axes = axes_of(pooled_states(tokenizer, values), tokenizer.encoder.pooling)
        tokenizer.set_axes(torch.from_numpy(axes.mean), torch.from_numpy(axes.whiten()))


def read_values(dataset: MosaicDataset, cells: np.ndarray, modality: int) -> sparse.csr_matrix:
    """(n, D) values of cells that all have the modality."""
    chunks = [dense(dataset[cells[start : start + CHUNK]].values[modality]) for start in range(0, len(cells), CHUNK)]
    return sparse.vstack([sparse.csr_matrix(chunk.numpy()) for chunk in chunks], format="csr")


def check_scale(values: sparse.csr_matrix, modality: str) -> None:
    """Raise if values cannot be ln(1 + 1e4 c / total) of some of the genes that the totals range over."""
    lowest = values.data.min(initial=0)
    with np.errstate(over="ignore"):
        total = sum_rows(np.expm1(values.data.astype(np.float64)), values.indptr).max(initial=0)
    if lowest >= 0 and total <= MAX_TOTAL:
        return
    found = f"the value {lowest:.4g}" if lowest < 0 else f"a cell whose counts so add up to {total:.4g}"
    raise ValueError(
        f"A gene encoder reads ln(1 + 1e4 count / total) of {modality!r}; found {found}. Put the raw counts into "
        f"mdata[{modality!r}].layers['counts'] and run scmoe.pp.prepare(mdata)."
    )


@torch.no_grad()
def pooled_states(tokenizer: GeneTokenizer, values: sparse.csr_matrix) -> np.ndarray:
    """(n, w) pooled states of cells, as the network makes them in use."""
    tokenizer.eval()
    out = []
    with threads_for(tokenizer.encoder.config.encoder_width):
        for start in range(0, values.shape[0], BATCH_SIZE):
            x = torch.from_numpy(values[start : start + BATCH_SIZE].toarray()).to(tokenizer.mean.device)
            out.append(tokenizer.pooled(x, x > 0).cpu().numpy())
    return np.concatenate(out)
