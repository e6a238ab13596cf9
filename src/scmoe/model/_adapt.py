"""A model for batches that it was not trained on: their shifts are fitted in closed form, nothing else changes."""

import copy
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from mudata import MuData
from torch import Tensor, nn

from scmoe.data._covariates import batches_unknown_to, names_or_missing
from scmoe.data._dataset import MosaicDataset
from scmoe.data._setup import Setup
from scmoe.data.statistics._correction import fit_shift
from scmoe.datasets._cells import raw_column
from scmoe.model._features import program_scores, to_numpy
from scmoe.model._fitted import Fitted
from scmoe.nn._tokenizer import ProgramTokenizer
from scmoe.readout._linear import Linear

MIN_CELLS = 20
"""Of a new batch: from fewer, no shift can be told."""


def adapt(fitted: Fitted, mdata: MuData) -> Fitted:
    """A fitted model that knows the query's batches as well; see `scmoe.model.SCMOE.adapt`.

    The network is a copy; no other is changed.
    """
    setup = fitted.setup
    if setup.batch_key is None or fitted.config.tokenizer == "patch":
        raise ValueError("Only a model trained with batch_key=... and program tokens can be adapted to new batches.")
    raw_column(mdata, setup.batch_key, "batch_key")  # raises without it
    column, new = names_or_missing(mdata, setup.batch_key), batches_unknown_to(setup, mdata)
    if not new:
        raise ValueError(f"All batches of {setup.batch_key!r} are known to the model; there is nothing to adapt to.")
    counts = column.value_counts()
    if few := [name for name in new if counts[name] < MIN_CELLS]:
        raise ValueError(
            f"The new batch {few[0]!r} has {counts[few[0]]} cells; at least {MIN_CELLS} are needed to adapt to it. Map "
            "these cells without adapt."
        )
    adapted = _widened(fitted, replace(setup, batches=[*setup.batches, *new]))
    dataset = MosaicDataset(mdata, adapted.setup)
    for name in new:
        _fit_shifts(adapted, dataset, np.flatnonzero(column == name), name)
    return adapted


def _widened(fitted: Fitted, setup: Setup) -> Fitted:
    """A copy that has the new batches, each treated as the mean of the old ones."""
    n_old = len(fitted.setup.batches)
    widen = partial(_widen, n_old=n_old, n_new=len(setup.batches) - n_old)
    network = copy.deepcopy(fitted.network)
    network.n_covariates = len(widen(network.covariate_mean, 0, fill=0.0))
    network.covariate_mean = widen(network.covariate_mean, 0, fill=0.0)
    network.covariate_std = widen(network.covariate_std, 0, fill=1.0)
    for decoder in network.decoders:
        for head in (decoder.own, decoder.cross):
            head.covariate_effect = nn.Parameter(widen(head.covariate_effect.detach(), 0))
    for tokenizer in network.tokenizers:
        if isinstance(tokenizer, ProgramTokenizer):
            tokenizer.shifts = widen(tokenizer.shifts, 1, fill=0.0)
    mixtures = {
        key: replace(mixture, linear=_widened_linear(mixture.linear, fitted.network.n_covariates, widen))
        for key, mixture in fitted.readouts.mixtures.items()
    }
    return Fitted(network, setup, replace(fitted.readouts, mixtures=mixtures), fitted.seed)


def _widen(x: Tensor, dim: int, *, n_old: int, n_new: int, fill: float | None = None) -> Tensor:
    """Entries for the new batches behind those of the old ones: `fill`, or their mean."""
    old = x.narrow(dim, 0, n_old)
    more = old.mean(dim, keepdim=True) if fill is None else torch.full_like(old.narrow(dim, 0, 1), fill)
    parts = [old, more.repeat_interleave(n_new, dim), x.narrow(dim, n_old, x.shape[dim] - n_old)]
    return torch.cat(parts, dim)


def _widened_linear(linear: Linear, n_covariates: int, widen: Callable[[Tensor, int], Tensor]) -> Linear:
    """A linear member with inputs for the new batches."""
    coefficients = torch.from_numpy(linear.coefficients)
    if n_covariates > 1:
        programs, covariates = coefficients[:-n_covariates], coefficients[-n_covariates:]
    else:  # there was one batch, and so no input for it
        programs, covariates = coefficients, coefficients.new_zeros(1, coefficients.shape[1])
    widened = torch.cat([programs, widen(covariates, 0)])
    return Linear(coefficients=widened.numpy(), intercept=linear.intercept)


@torch.no_grad()
def _fit_shifts(adapted: Fitted, dataset: MosaicDataset, cells: np.ndarray, batch: str) -> None:
    """The new batch has no shift yet, so its corrected scores lack the effects of the other covariates only."""
    j = adapted.setup.batches.index(batch)
    for v, tokenizer in enumerate(adapted.network.tokenizers):
        here = cells[dataset.present[cells, v]]
        if not isinstance(tokenizer, ProgramTokenizer) or len(here) < MIN_CELLS:
            continue
        scores = [
            to_numpy(program_scores(adapted.network, chunk, v) * tokenizer.unit)
            for chunk in adapted.encode(dataset, here, only=[v], loadings="fixed")
        ]
        tokenizer.shifts[:, j] = fit_shift(np.concatenate(scores), tokenizer.correction).to(tokenizer.shifts)
