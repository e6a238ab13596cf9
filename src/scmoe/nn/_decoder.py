"""Decoders: a modality's features from a state, under that modality's likelihood."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scmoe.data._likelihood import LIKELIHOODS
from scmoe.data.sparse._features import Features, row_squares


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
    y = head(state) become standardized features x = u y Lᵀ through fixed loadings L (D x K) of components, or through a
    learned linear map when there are none. The likelihood turns x into its predictor, with the help of parameters
    that are learned here.

    Parameters
    ----------
    likelihood
        One of `LIKELIHOODS`.
    n_features, n_hidden, width, n_covariates
        D, d, hidden width and number of covariates.
    n_components
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
        n_components: int | None,
        dropout: float,
    ) -> None:
        super().__init__()
        self.likelihood = LIKELIHOODS[likelihood]
        self.has_components = n_components is not None
        self.dropout = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(n_hidden)
        n_scores = n_components if n_components is not None else n_features
        self.own = Head(n_hidden, width, n_scores, n_covariates)
        self.cross = Head(n_hidden, width, n_scores, n_covariates)
        for parameter in self.cross.out.parameters():  # predictions start at the mean
            nn.init.zeros_(parameter)
        if self.has_components:
            self.register_buffer("loadings", torch.zeros(n_features, n_scores))
        # Squared error in units of the variance that the components explain, so that modalities weigh alike.
        self.register_buffer("loss_scale", torch.ones(()))
        self.register_buffer("library", torch.ones(()))
        start = self.likelihood.initial_parameters(n_features)
        for name, tensor in start.items():
            self.register_parameter(name, nn.Parameter(tensor))
        self._likelihood_names = tuple(start)

    @torch.no_grad()
    def set_statistics(self, loadings_DK: Tensor, unit: float, bias: Tensor, std: Tensor, library: float) -> None:
        """Take over what the training cells say: loadings, bias, standard deviations, median total count."""
        self.library.fill_(library)
        if self.has_components:
            self.loadings.copy_(unit * loadings_DK)
            explained = float(self.loadings.square().sum())
            self.loss_scale.fill_(len(loadings_DK) / max(explained, 1e-8))
        for name, tensor in {"bias": bias, "scale": std}.items():
            if name in self._likelihood_names:
                self.get_parameter(name).copy_(tensor)

    @property
    def likelihood_parameters(self) -> dict[str, Tensor]:
        """What the likelihood has learned, by name."""
        return {name: self.get_parameter(name) for name in self._likelihood_names}

    def scores(self, state: Tensor, covariates: Tensor, *, own: bool) -> Tensor:
        """Decode to component scores.

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
        Tensor (..., B, K); (..., B, D) without components.
        """
        state = self.dropout(state if own else self.norm(state))
        return (self.own if own else self.cross)(state, covariates)

    def predictor(self, scores: Tensor) -> Tensor:
        """Predictor (..., B, D) of scores, such as a standardized mean, log rate per unit of library size, or logit."""
        x = scores @ self.loadings.T if self.has_components else scores
        return self.likelihood.predictor(x, self.likelihood_parameters)

    def forward(self, state: Tensor, covariates: Tensor, *, own: bool) -> Tensor:
        """Predictor (..., B, D) of states; the arguments are those of `scores`."""
        return self.predictor(self.scores(state, covariates, own=own))

    def ideal_scores(self, z_BD: Tensor) -> Tensor:
        """The scores (B, K) that come nearest to standardized features; only with components."""
        return z_BD @ self.loadings / self.loadings.square().sum(0).clamp(min=1e-12)

    def mean_squared_error(self, scores: Tensor, z_BD: Features) -> Tensor:
        """Mean over the D features of (z - x)², (..., B), without making x.

        With orthonormal loadings, ‖z - u L y‖² = ‖z‖² - ‖Lᵀz‖² + ‖Lᵀz - u y‖² (Pythagoras): K numbers a cell in place
        of D.
        """
        length = self.loadings.square().sum(0).sqrt()  # u, and 0 for columns beyond the rank
        target = z_BD @ self.loadings / length.clamp(min=1e-12)
        unexplained = row_squares(z_BD) - target.square().sum(-1)
        return (unexplained + (target - length * scores).square().sum(-1)) / len(self.loadings)

    def losses(self, target: Tensor, scores: Tensor) -> Tensor:
        """Negative log-likelihood (..., n, D) of a target (n, D), see `Likelihood`, given scores (..., n, K)."""
        return self.likelihood.loss(target, self.predictor(scores), self.likelihood_parameters)

    def expected(self, predictor: Tensor) -> Tensor:
        """Expected value of a predictor: standardized mean, counts at the median library, or probability."""
        return self.likelihood.expected(predictor, self.library)
