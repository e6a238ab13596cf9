"""Random masks, and what hiding features at random does to products."""

from dataclasses import replace

import torch
from torch import Tensor

from scmoe.data.sparse._features import Noise, SparseFeatures

N_DIRECTIONS = 32
"""Random directions whose combinations are the noise of hidden zeros: enough that cells of a batch hardly share it."""


def keep_mask(shape: torch.Size, p: float) -> Tensor:
    """Boolean mask that is false with probability `p` (to one part in 65536).

    One 64-bit random number decides four entries: on a CPU, a Bernoulli draw for each would be a fifth of a training
    step.
    """
    n = shape.numel()
    bits = torch.randint(-(2**63), 2**63 - 1, (-(-n // 4),)).view(torch.int16)[:n]
    return (bits >= round(p * 2**16) - 2**15).view(shape)


def hide(z: SparseFeatures, p: float) -> SparseFeatures:
    """Dropout of features: each is 0 with probability `p`, else 1 / (1 - p) times what it is.

    Exact for stored values. What it does to zeros is a sum of many small terms in every product, so it is replaced by
    normal noise with their mean (none), variances and covariances, averaged over the cells of the batch.
    """
    rows = z.difference
    base = z.base.index_select(0, rows.column)
    shown = (rows.value + base) * keep_mask(rows.value.shape, p) / (1 - p)
    share_of_zeros = 1 - torch.bincount(rows.column, minlength=len(z.base)) / max(len(z), 1)
    size = z.base * (share_of_zeros * p / (1 - p) / N_DIRECTIONS).sqrt()
    signs = keep_mask(torch.Size((N_DIRECTIONS, len(size))), 0.5).to(size.dtype) * 2 - 1
    noise = Noise(torch.randn(len(z), N_DIRECTIONS), signs * size)
    return replace(z, difference=rows._replace(value=shown - base), noise=noise)
