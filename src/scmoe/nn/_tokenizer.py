"""Tokenizers: the standardized features of one modality become a few tokens.

Dimension suffixes, used in all of `scmoe.nn`: B cells, V modalities, P tokens per modality, N = V·P, d width, D
features of a modality, K principal components, T routed tokens, E experts, k experts chosen per token.

*Programs*, in the names of options, are principal components: their loadings say which genes vary together.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scmoe.data.sparse._features import Features
from scmoe.data.sparse._rows import dense
from scmoe.data.statistics._correction import Correction, no_correction, offset


def modality_frames(n_modalities: int, n_hidden: int) -> list[Tensor]:
    """Orthonormal directions for the components of each modality, (d, d), the first row for its leading one.

    All modalities use the rows of one random rotation, in different orders: each starts with rows of its own, dealt out
    in turn, and ends with those of the others. So the leading components of different modalities start in orthogonal
    directions, and the mean of the modalities' states has the geometry of their concatenation.
    """
    rotation = nn.init.orthogonal_(torch.empty(n_hidden, n_hidden))
    rows = torch.arange(n_hidden)
    orders = [torch.cat([rows[v::n_modalities], rows[rows % n_modalities != v].flip(0)]) for v in range(n_modalities)]
    return [rotation[order] for order in orders]


class ProgramTokenizer(nn.Module):
    """Tokens as linear maps of principal components.

    s = (z L - o) / u, token_p = s W_p + b_p, where z (D) are standardized features, L (D x K) the loadings, o (K) what
    the cell's covariates add to the scores, u the overall standard deviation of the scores, W_p (K x d).

    The mean of the W_p is an isometry at the start, so the mean of the tokens has the geometry of the principal
    components; each W_p departs from it by a random map of mean zero.

    Parameters
    ----------
    n_features, n_components, n_tokens, n_covariates
        D, K, P and J.
    frame
        Where the components start, (d, d); see `modality_frames`.
    train_programs
        Whether L is a parameter instead of a buffer.
    """

    loadings: Tensor
    fixed_loadings: Tensor
    unit: Tensor
    shifts: Tensor

    def __init__(
        self,
        n_features: int,
        n_components: int,
        n_tokens: int,
        n_covariates: int,
        frame: Tensor,
        *,
        train_programs: bool,
    ) -> None:
        super().__init__()
        n_hidden = len(frame)
        loadings = torch.zeros(n_features, n_components)
        if train_programs:
            self.loadings = nn.Parameter(loadings)
        else:
            self.register_buffer("loadings", loadings)
        # As found in the training cells: what corrections and readouts are fitted on.
        self.register_buffer("fixed_loadings", loadings.clone())
        self.register_buffer("unit", torch.ones(()))
        for name, tensor in no_correction(n_covariates, n_components)._asdict().items():
            self.register_buffer(name, tensor)
        isometry = torch.zeros(n_components, n_hidden)
        rank = min(n_components, n_hidden)  # with fewer dimensions than components, the leading ones are kept
        isometry[:rank] = frame[:rank]
        departure = torch.randn(n_tokens, n_components, n_hidden) / math.sqrt(n_hidden)
        self.weight = nn.Parameter(isometry + departure - departure.mean(0))
        # One bias per modality and token: position and modality embedding in one.
        self.position = nn.Parameter(0.02 * torch.randn(n_tokens, n_hidden))

    @torch.no_grad()
    def set_components(self, loadings_DK: Tensor, unit: float, correction: Correction | None) -> None:
        """Take over the components of the training cells, and how covariates change their scores."""
        self.loadings.copy_(loadings_DK)
        self.fixed_loadings.copy_(loadings_DK)
        self.unit.fill_(unit)
        if correction is not None:
            for name, tensor in correction._asdict().items():
                self.get_buffer(name).copy_(tensor)

    @property
    def correction(self) -> Correction:
        """What covariates add to the scores."""
        return Correction(*(self.get_buffer(name) for name in Correction._fields))

    @property
    def is_read(self) -> Tensor:
        """(D,) boolean: features that were read at the start. The others, which other cells lack, are never learned."""
        return (self.fixed_loadings != 0).any(1)

    def offset(self, z_BD: Features, covariates_BJ: Tensor) -> Tensor:
        """What the covariates add to the scores (B, K) of standardized features."""
        # Squared distances need more digits than mixed precision has.
        with torch.autocast(covariates_BJ.device.type, enabled=False):
            z = z_BD.float() if isinstance(z_BD, Tensor) else z_BD
            return offset(z @ self.fixed_loadings, covariates_BJ.float(), self.correction)

    def forward(self, z_BD: Features, offset_BK: Tensor | float = 0.0, n_fixed: int | None = None) -> Tensor:
        """Standardized features (B, D) to tokens (B, P, d); with `n_fixed`, of so many leading components as found."""
        if n_fixed is not None:
            leading = torch.arange(self.weight.shape[1], device=self.weight.device) < n_fixed
            return self._from_scores((z_BD @ self.fixed_loadings - offset_BK) * leading)
        return self._from_scores(z_BD @ (self.loadings * self.is_read[:, None]) - offset_BK)

    def _from_scores(self, score_BK: Tensor) -> Tensor:
        return torch.einsum("bk,pkd->bpd", score_BK / self.unit, self.weight) + self.position


class PatchTokenizer(nn.Module):
    """The paper's tokens: patches of s = ceil(D / P) consecutive features, zero-padded, through one Linear(s, d).

    Parameters
    ----------
    n_features, n_tokens, n_hidden
        D, P and d.
    """

    def __init__(self, n_features: int, n_tokens: int, n_hidden: int) -> None:
        super().__init__()
        self.n_tokens = n_tokens
        self.patch_size = math.ceil(n_features / n_tokens)
        self.padding = n_tokens * self.patch_size - n_features
        self.projection = nn.Linear(self.patch_size, n_hidden)
        self.position = nn.Parameter(torch.zeros(n_tokens, n_hidden))

    def patches(self, z_BD: Tensor) -> Tensor:
        """Cut (B, D) features into (B, P, s) patches."""
        return F.pad(z_BD, (0, self.padding)).view(len(z_BD), self.n_tokens, self.patch_size)

    def forward(self, z_BD: Features, offset_BK: Tensor | float = 0.0, n_fixed: int | None = None) -> Tensor:
        """Standardized features (B, D) to tokens (B, P, d); patches know no correction and no components."""
        return self.projection(self.patches(dense(z_BD))) + self.position
