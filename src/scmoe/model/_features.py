"""What readouts look at, and what they make of it: tensors that can be differentiated."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from scmoe.model._fitted import Chunk
from scmoe.nn._network import Network
from scmoe.nn._tokenizer import ProgramTokenizer
from scmoe.readout._linear import Linear
from scmoe.readout._readouts import Readouts
from scmoe.readout._subsets import Subset, nearest_subset


def program_scores(network: Network, chunk: Chunk, modality: int) -> Tensor:
    """Scores (B, K) of a modality's programs without what the covariates add, in units of the programs' overall spread.

    0 in cells without the modality; (B, 0) if it has no programs.

    Parameters
    ----------
    network
        The trained network.
    chunk
        The cells.
    modality
        Position of the modality.
    """
    tokenizer, presence = network.tokenizers[modality], chunk.batch.presence
    if not isinstance(tokenizer, ProgramTokenizer):
        return chunk.covariates.new_zeros(len(chunk.covariates), 0)
    z = chunk.z[modality]
    scores = z @ tokenizer.fixed_loadings
    if network.n_covariates > 1:
        scores = scores - tokenizer.offset(z, presence.select(chunk.covariates, modality))
    return presence.scatter(scores / tokenizer.unit, modality)


def linear_inputs(network: Network, chunk: Chunk, sources: Subset, covariates: Tensor) -> Tensor:
    """Inputs (B, p) of the linear member of a prediction: corrected scores of the sources' programs, and covariates.

    `covariates` are those that the prediction is made for; the scores are corrected for the cells' own.
    """
    parts = [program_scores(network, chunk, v) for v in sources]
    if network.n_covariates > 1:
        parts.append(covariates)
    return torch.cat(parts, 1)


def label_views(network: Network, chunk: Chunk, seen: Subset) -> list[Tensor]:
    """What labels are read from, (B, p) each: components of z-scores, program scores, joint state.

    Components weigh all features alike, programs by their variance: which of them serves better depends on the data.
    Without any modality in `seen`, only the joint state, which all cells have. A joint state that has seen labels is
    left out where there are others.
    """
    components = [chunk.batch.presence.scatter(chunk.z[v] @ network.standardizers[v].loadings, v) for v in seen]
    programs = [program_scores(network, chunk, v) for v in seen]
    views = [view for blocks in (components, programs) if blocks and (view := torch.cat(blocks, 1)).shape[1]]
    return views if views and network.config.label_weight else [*views, chunk.encoded.joint]


def embedding_inputs(network: Network, readouts: Readouts, chunk: Chunk, seen: Subset) -> list[Tensor]:
    """What the embedding is made of: states (B, d) of some modalities, then their program scores (B, K).

    0 for programs that do not reproduce; see `Loadings`, of which the chunk's must be the fixed ones.
    """
    programs = [
        program_scores(network, chunk, v) * torch.from_numpy(readouts.counts(v)).to(chunk.covariates) for v in seen
    ]
    return [chunk.encoded.states[:, v] for v in seen] + programs


def embedding(network: Network, readouts: Readouts, chunk: Chunk) -> Tensor:
    """The joint embedding (B, d); the joint state where there was too little to fit more."""
    out = chunk.encoded.joint.clone()
    for seen, positions in chunk.groups():
        known = nearest_subset(seen, readouts.embeddings)
        if known is not None:
            rows = torch.from_numpy(positions).to(out.device)
            inputs = torch.cat(embedding_inputs(network, readouts, chunk, known), 1)[rows]
            out = out.index_copy(0, rows, apply(readouts.embeddings[known], inputs))
    return out


def linear_embedding(network: Network, chunk: Chunk) -> Tensor:
    """Program scores (B, ΣK) of all modalities, each of total variance one."""
    scores = [program_scores(network, chunk, v) for v in range(network.n_modalities)]
    return torch.cat([block / max(block.shape[1], 1) ** 0.5 for block in scores], 1)


def apply(linear: Linear, x: Tensor) -> Tensor:
    """A linear readout of inputs (B, p), (B, q), differentiable."""
    coefficients, intercept = (torch.from_numpy(part).to(x) for part in (linear.coefficients, linear.intercept))
    return x @ coefficients + intercept


def as_batch(covariates: Tensor, n_batches: int, batch: int | None) -> Tensor:
    """Covariates (B, J) as if all cells were of one batch, given by its position; None: as they are."""
    if batch is None:
        return covariates
    covariates = covariates.clone()
    covariates[:, :n_batches] = 0
    covariates[:, batch] = 1
    return covariates


def cross_scores(network: Network, chunk: Chunk, sources: Sequence[int], target: int, covariates: Tensor) -> Tensor:
    """The network's prediction of the target's program scores (B, K).

    The mean of what the sources that a cell has say.
    """
    scores = network.decoders[target].scores(
        torch.stack([chunk.encoded.states[:, v] for v in sources]), covariates, own=False
    )
    seen = torch.stack([chunk.batch.presence.mask[:, v] for v in sources])
    share = seen / seen.sum(0).clamp(min=1)
    return (scores * share[..., None]).sum(0)


def decoded(network: Network, scores: Tensor, modality: int) -> Tensor:
    """Program scores (B, K) to expected values (B, D), in the units that `scmoe.model.SCMOE.impute` states."""
    decoder = network.decoders[modality]
    expected = decoder.expected(decoder.predictor(scores))
    return expected if decoder.likelihood.reads_counts else network.standardizers[modality].inverse(expected)


def to_numpy(x: Tensor) -> np.ndarray:
    """float32 on the CPU."""
    return x.float().cpu().numpy()
