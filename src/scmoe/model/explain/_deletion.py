"""Whether features that a target is attributed to are those that it rests on."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from anndata import AnnData
from mudata import MuData
from torch import Tensor

from scmoe.arguments._checked import checks_arguments
from scmoe.model._features import to_numpy
from scmoe.model._fitted import FittedModel, Reading, query
from scmoe.model.explain._attribution import MAX_MEMORY, N_STEPS, Method, attribute, target_value
from scmoe.model.explain._targets import Target

SHARES = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4)
"""Of the features, that are removed."""
RANKINGS = ("attribution", "correlation", "random")
ATTRIBUTION_SHARE = 0.5
"""Of the memory; ranking the features of a cell takes as much again, for indices are of eight bytes."""


@checks_arguments
def get_deletion(
    self: FittedModel,
    target: Target,
    slopes: Mapping[str, np.ndarray],
    adata: MuData | AnnData | None = None,
    indices: Sequence[int] | None = None,
    *,
    method: Method = "integrated_gradients",
    n_steps: int = N_STEPS,
    max_memory: float = MAX_MEMORY,
) -> np.ndarray:
    """What is left of a target when the features that speak for it most are set to their means.

    Parameters
    ----------
    target
        As in `get_attributions`.
    slopes
        Of each modality (features,): the baseline ranks a cell's features by slope times standardized value, such as
        the correlation of a feature with what is explained.
    adata, indices, method, n_steps, max_memory
        As in `get_attributions`.

    Returns
    -------
    numpy.ndarray
        (n, 3, shares) float32: the target's value when a share of the features (`SHARES`) is gone, ranked in each
        cell by attribution, by the baseline, and at random.
    """
    fitted, dataset, cells = query(self, adata, indices)
    out = np.empty((len(cells), len(RANKINGS), len(SHARES)), np.float32)
    generator = torch.Generator().manual_seed(fitted.seed)
    for reading, found in attribute(fitted, target, dataset, cells, method, n_steps, ATTRIBUTION_SHARE * max_memory):
        scores = [
            found,
            [
                x * torch.from_numpy(np.asarray(slopes[name])).to(x)
                for name, x in zip(fitted.modalities, reading.z, strict=True)
            ],
            [torch.rand(x.shape, generator=generator).to(x) for x in reading.z],
        ]
        for i, ranked in enumerate(scores):
            for j, kept in enumerate(without_top(ranked, reading, SHARES)):
                out[reading.rows, i, j] = to_numpy(target_value(fitted, target, reading._replace(z=kept)))
    return out


def without_top(scores: Sequence[Tensor], reading: Reading, shares: Sequence[float]) -> Iterator[list[Tensor]]:
    """Standardized features (n_v, D), with those of the highest scores at their mean, 0.

    Parameters
    ----------
    scores
        Of each modality (n_v, D); ranked over all features that a cell has.
    reading
        The cells.
    shares
        Of the cell's features that are removed, one after the other.
    """
    presence = reading.batch.presence
    widths = [x.shape[1] for x in scores]
    here = presence.mask.repeat_interleave(torch.tensor(widths, device=presence.mask.device), 1)
    ranked = torch.cat([presence.scatter(x, v) for v, x in enumerate(scores)], 1).masked_fill(~here, -torch.inf)
    place = ranked.argsort(dim=1, descending=True, stable=True).argsort(dim=1)
    for share in shares:
        keep = (place >= (share * here.sum(1, keepdim=True)).round()).split(widths, 1)
        yield [x * presence.select(part, v) for v, (x, part) in enumerate(zip(reading.z, keep, strict=True))]
