"""A model for batches that it was not trained on: their shifts are fitted in closed form, nothing else changes."""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from mudata import MuData
from torch import Tensor

from scmoe.data._correction import fit_shift
from scmoe.data._dataset import MosaicDataset
from scmoe.data._setup import Setup, column_of
from scmoe.model._features import program_scores, to_numpy
from scmoe.nn._tokenizer import ProgramTokenizer
from scmoe.readout._linear import Linear, Mixture
from scmoe.readout._readouts import Direction

if TYPE_CHECKING:
    from scmoe.model._scmoe import SCMOE

MIN_CELLS = 20
"""Of a new batch: from fewer, no shift can be told."""


def adapt(model: "SCMOE", mdata: MuData) -> "SCMOE":
    """See `scmoe.model.SCMOE.adapt`."""
    setup = model.setup
    if setup.batch_key is None or model.config.tokenizer == "patch":
        raise ValueError("Only a model trained with batch_key=... and program tokens can be adapted to new batches.")
    column = column_of(mdata, setup.batch_key, "batch_key")
    new = sorted(set(column) - set(setup.batches))
    if not new:
        raise ValueError(f"All batches of {setup.batch_key!r} are known to the model; there is nothing to adapt to.")
    counts = column.value_counts()
    if few := [name for name in new if counts[name] < MIN_CELLS]:
        raise ValueError(
            f"The new batch {few[0]!r} has {counts[few[0]]} cells; at least {MIN_CELLS} are needed to adapt to it. Map these "
            "cells without adapt."
        )
    adapted = _widened(model, replace(setup, batches=[*setup.batches, *new]))
    dataset = MosaicDataset(mdata, adapted.setup)
    for name in new:
        _fit_shifts(adapted, dataset, np.flatnonzero(column == name), name)
    return adapted


def _widened(model: "SCMOE", setup: Setup) -> "SCMOE":
    """A copy that has the new batches, each treated as the mean of the old ones."""
    n_old, n_new = len(model.setup.batches), len(setup.batches) - len(model.setup.batches)

    def widen(x: Tensor, dim: int, fill: float | None = None) -> Tensor:
        old = x.narrow(dim, 0, n_old)
        more = old.mean(dim, keepdim=True) if fill is None else torch.full_like(old.narrow(dim, 0, 1), fill)
        parts = [old, more.repeat_interleave(n_new, dim), x.narrow(dim, n_old, x.shape[dim] - n_old)]
        return torch.cat(parts, dim)

    state = dict(model.module.state_dict())
    for name, tensor in state.items():
        if name.endswith("covariate_effect"):
            state[name] = widen(tensor, 0)
        elif name.endswith("shifts"):
            state[name] = widen(tensor, 1, 0.0)
        elif name == "covariate_mean":
            state[name] = widen(tensor, 0, 0.0)
        elif name == "covariate_std":
            state[name] = widen(tensor, 0, 1.0)
    copy = model._twin(setup)
    copy.module.load_state_dict(state)
    copy.readouts = replace(model.readouts, mixtures=_widened_mixtures(model, widen))
    return copy


def _widened_mixtures(model: "SCMOE", widen: Callable[[Tensor, int], Tensor]) -> dict[Direction, Mixture]:
    """Linear members with inputs for the new batches."""
    n_covariates = model.module.n_covariates
    out = {}
    for key, mixture in model.readouts.mixtures.items():
        coefficients = torch.from_numpy(mixture.linear.coefficients)
        if n_covariates > 1:
            programs, covariates = coefficients[:-n_covariates], coefficients[-n_covariates:]
        else:  # there was one batch, and so no input for it
            programs, covariates = coefficients, coefficients.new_zeros(1, coefficients.shape[1])
        widened = torch.cat([programs, widen(covariates, 0)])
        out[key] = Mixture(
            linear=Linear(coefficients=widened.numpy(), intercept=mixture.linear.intercept), weight=mixture.weight
        )
    return out


@torch.no_grad()
def _fit_shifts(adapted: "SCMOE", dataset: MosaicDataset, cells: np.ndarray, batch: str) -> None:
    """The new batch has no shift yet, so its corrected scores lack the effects of the other covariates only."""
    j = adapted.setup.batches.index(batch)
    for v, tokenizer in enumerate(adapted.module.tokenizers):
        here = cells[dataset.present[cells, v]]
        if not isinstance(tokenizer, ProgramTokenizer) or len(here) < MIN_CELLS:
            continue
        scores = [
            to_numpy(program_scores(adapted.module, chunk, v) * tokenizer.unit)
            for chunk in adapted._encode(dataset, here, only=[v])
        ]
        tokenizer.shifts[:, j] = fit_shift(np.concatenate(scores), tokenizer.correction).to(tokenizer.shifts)
