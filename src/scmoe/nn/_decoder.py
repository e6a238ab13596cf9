"""Decoders: a modality's features from a state, under that modality's likelihood."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LOG_RATE_MAX = 15.0
"""Log rates are capped here (3 million counts of one feature), so that an outlying cell cannot overflow."""


class Head(nn.Module):
    """State (B, d) and covariates to K scores: Linear, + effect of the covariates, GELU, Linear.

    Parameters
    ----------
    n_hidden, width, n_scores, n_covariates
        d, hidden width, K and J.
    """

    def __init__(self, n_hidden: int, width: int, n_scores: int, n_covariates: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(n_hidden, width)
        self.covariate_effect = nn.Parameter(torch.zeros(n_covariates, width))
        self.out = nn.Linear(width, n_scores)

    def forward(self, state: Tensor, covariates: Tensor) -> Tensor:
        """States (..., B, d) and covariates (B, J) to scores (..., B, K)."""
        return self.out(F.gelu(self.hidden(state) + covariates @ self.covariate_effect))


class Decoder(nn.Module):
    """All that is needed to decode one target modality.

    One head reads the modality's own state, another the states of other modalities, which never saw the target. Scores
    y = head(state) become standardized features x = u y Lᵀ through the programs' fixed loadings L (D x K), or through a
    learned linear map when there are no programs. The likelihood turns x into its parameters:

    - ``gaussian``: mean x (in standard deviations)
    - ``nb``, ``poisson``: rate ℓ exp(b + a x), ℓ the cell's total count, a and b (D) learned; ``nb`` has a learned
      inverse dispersion θ (D)
    - ``bernoulli``: logit b + a x

    Parameters
    ----------
    likelihood
        One of the above.
    n_features, n_hidden, width, n_covariates
        D, d, hidden width and number of covariates.
    n_programs
        K, or None for a learned map.
    dropout
        Dropout of the states.
    """

    loadings: Tensor
    loss_scale: Tensor
    library: Tensor

    def __init__(
        self,
        likelihood: str,
        *,
        n_features: int,
        n_hidden: int,
        width: int,
        n_covariates: int,
        n_programs: int | None,
        dropout: float,
    ) -> None:
        super().__init__()
        self.likelihood = likelihood
        self.has_programs = n_programs is not None
        self.dropout = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(n_hidden)
        n_scores = n_programs if n_programs is not None else n_features
        self.own = Head(n_hidden, width, n_scores, n_covariates)
        self.cross = Head(n_hidden, width, n_scores, n_covariates)
        for parameter in self.cross.out.parameters():  # predictions start at the mean
            nn.init.zeros_(parameter)
        if self.has_programs:
            self.register_buffer("loadings", torch.zeros(n_features, n_scores))
        # Squared error in units of the variance that the programs explain, so that modalities weigh alike.
        self.register_buffer("loss_scale", torch.ones(()))
        self.register_buffer("library", torch.ones(()))
        if likelihood != "gaussian":
            self.bias = nn.Parameter(torch.zeros(n_features))
            self.scale = nn.Parameter(torch.ones(n_features))
        if likelihood == "nb":
            self.log_theta = nn.Parameter(torch.zeros(n_features))

    @torch.no_grad()
    def set_statistics(self, loadings_DK: Tensor, unit: float, bias: Tensor, std: Tensor, library: float) -> None:
        """Take over what the training cells say: programs, log-rate or logit of the mean, spread, median total count."""
        self.library.fill_(library)
        if self.has_programs:
            self.loadings.copy_(unit * loadings_DK)
            explained = float(self.loadings.square().sum())
            self.loss_scale.fill_(len(loadings_DK) / max(explained, 1e-8))
        if self.likelihood != "gaussian":
            self.bias.copy_(bias)
            self.scale.copy_(std)

    def scores(self, state: Tensor, covariates: Tensor, *, own: bool) -> Tensor:
        """Decode to program scores.

        Parameters
        ----------
        state
            States (..., B, d).
        covariates
            One-hot batch (equal shares for a batch that the model has not seen) and further covariates, (B, J).
        own
            Whether `state` is the target's own state (which saw the target) or another modality's.

        Returns
        -------
        Tensor (..., B, K); (..., B, D) without programs.
        """
        state = self.dropout(state if own else self.norm(state))
        return (self.own if own else self.cross)(state, covariates)

    def parameters_of(self, scores: Tensor) -> Tensor:
        """Likelihood parameters (..., B, D) of scores: standardized mean, log rate per unit of library size, or logit."""
        x = scores @ self.loadings.T if self.has_programs else scores
        return x if self.likelihood == "gaussian" else self.bias + self.scale * x

    def forward(self, state: Tensor, covariates: Tensor, *, own: bool) -> Tensor:
        """Likelihood parameters (..., B, D) of states; the arguments are those of `scores`."""
        return self.parameters_of(self.scores(state, covariates, own=own))

    def ideal_scores(self, z_BD: Tensor) -> Tensor:
        """The scores (B, K) that come nearest to standardized features; only with programs."""
        return z_BD @ self.loadings / self.loadings.square().sum(0).clamp(min=1e-12)

    def mean_squared_error(self, scores: Tensor, z_BD: Tensor) -> Tensor:
        """Mean over the D features of (z - x)², (..., B), without making x.

        With orthonormal loadings, ‖z - u L y‖² = ‖z‖² - ‖Lᵀz‖² + ‖Lᵀz - u y‖² (Pythagoras): K numbers a cell in place of D.
        """
        length = self.loadings.square().sum(0).sqrt()  # u, and 0 for columns beyond the rank
        target = z_BD @ self.loadings / length.clamp(min=1e-12)
        unexplained = z_BD.square().sum(-1) - target.square().sum(-1)
        return (unexplained + (target - length * scores).square().sum(-1)) / z_BD.shape[-1]

    def expected(self, parameters: Tensor) -> Tensor:
        """Expected value under likelihood parameters: standardized mean, counts at the median library, or probability."""
        if self.likelihood == "gaussian":
            return parameters
        if self.likelihood == "bernoulli":
            return parameters.sigmoid()
        return parameters.clamp(max=LOG_RATE_MAX).exp() * self.library
