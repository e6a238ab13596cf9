"""Random masks."""

import torch
from torch import Tensor


def keep_mask(shape: torch.Size, p: float) -> Tensor:
    """Boolean mask that is false with probability `p` (to one part in 65536).

    One 64-bit random number decides four entries: on a CPU, a Bernoulli draw for each would be a fifth of a training
    step.
    """
    n = shape.numel()
    bits = torch.randint(-(2**63), 2**63 - 1, (-(-n // 4),)).view(torch.int16)[:n]
    return (bits >= round(p * 2**16) - 2**15).view(shape)
