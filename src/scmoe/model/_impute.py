"""Predicting the features of a modality: from other modalities, or without noise and batch effects."""

import math
from collections.abc import Sequence
from typing import Literal, overload

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from mudata import MuData
from torch import Tensor

from scmoe._align import Indices, Positions, positions_of
from scmoe.arguments._checked import checks_arguments
from scmoe.datasets._categories import Category, category_codes, names_of
from scmoe.io._memory import check_memory
from scmoe.model._features import apply, as_batch, cross_scores, decoded, linear_inputs, to_numpy
from scmoe.model._fitted import BATCH_SIZE, Chunk, Fitted, FittedModel, Part, query
from scmoe.readout._spread import Spread
from scmoe.readout._subsets import Subset, nearest_subset

REMEDY = "Choose features: features=[...]; or predict some cells at a time: indices=[...]."


@overload
def impute(
    self: FittedModel,
    source: str | Sequence[str],
    target: str,
    adata: MuData | AnnData | None = ...,
    indices: Indices | None = ...,
    batch_size: int = ...,
    *,
    features: Indices | None = ...,
    part: Part = ...,
    transform_batch: Category | Sequence[Category] | None = ...,
    return_sd: Literal[False] = ...,
    return_interval: Literal[False] = ...,
) -> np.ndarray: ...


@overload
def impute(
    self: FittedModel,
    source: str | Sequence[str],
    target: str,
    adata: MuData | AnnData | None = ...,
    indices: Indices | None = ...,
    batch_size: int = ...,
    *,
    features: Indices | None = ...,
    part: Part = ...,
    transform_batch: Category | Sequence[Category] | None = ...,
    return_sd: Literal[True],
    return_interval: Literal[False] = ...,
) -> tuple[np.ndarray, np.ndarray]: ...


@overload
def impute(
    self: FittedModel,
    source: str | Sequence[str],
    target: str,
    adata: MuData | AnnData | None = ...,
    indices: Indices | None = ...,
    batch_size: int = ...,
    *,
    features: Indices | None = ...,
    part: Part = ...,
    transform_batch: Category | Sequence[Category] | None = ...,
    return_sd: Literal[False] = ...,
    return_interval: Literal[True],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]: ...


@overload
def impute(
    self: FittedModel,
    source: str | Sequence[str],
    target: str,
    adata: MuData | AnnData | None = ...,
    indices: Indices | None = ...,
    batch_size: int = ...,
    *,
    features: Indices | None = ...,
    part: Part = ...,
    transform_batch: Category | Sequence[Category] | None = ...,
    return_sd: Literal[True],
    return_interval: Literal[True],
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]: ...


@checks_arguments
@torch.no_grad()
def impute(
    self: FittedModel,
    source: str | Sequence[str],
    target: str,
    adata: MuData | AnnData | None = None,
    indices: Indices | None = None,
    batch_size: int = BATCH_SIZE,
    *,
    features: Indices | None = None,
    part: Part = "mixture",
    transform_batch: Category | Sequence[Category] | None = None,
    return_sd: bool = False,
    return_interval: bool = False,
) -> np.ndarray | tuple[np.ndarray, ...]:
    """Predict the features of a modality from others.

    The target is absent from the input, even of cells that have it.

    Parameters
    ----------
    source
        The modality or modalities to look at; a cell may lack some of them.
    target
        The modality to predict.
    adata, indices
        Which cells.
    batch_size
        Cells at once.
    features
        Which features of the target, and in which order: names, positions or a mask; None: all.
    part
        ``"mixture"``: ridge regression and network, with the weight of `mixture_weight`; or one of the two alone.
        Targets with a likelihood of counts, and models with patch tokens, have the network only.
    transform_batch
        Predict as if the cells were of this batch, or the mean over several; None: of their own.
    return_sd
        Whether to return standard deviations as well.
    return_interval
        Whether to return lower and upper ends of intervals as well.

    Returns
    -------
    numpy.ndarray, or a tuple of two to four
        (n, features) float32 in the units of the target's values; for count likelihoods the expected count at the
        median total of the training cells, for ``"bernoulli"`` the probability. NaN in cells without any source. With
        `return_sd`, next, the standard deviation of a value around its prediction, in the same units: the root mean
        square error of a feature in cells like the training cells, where its predicted value is this. With
        `return_interval`, last, the lower and the upper end of an interval. Of a feature that is never zero, or has
        values below zero, it holds 90 % of the values. Where many values are zero, it holds 90 % of those above zero,
        and zero itself unless a value above zero has a probability of 70 %, so of all values it holds more than 90 %.
        Both are statements about a feature over cells like the training cells, not about one cell; without validation
        cells they are those of the training cells, and too narrow. Of models that were saved before there were
        intervals, these are the prediction ± 1.645 standard deviations.

    Raises
    ------
    KeyError
        A modality, batch or feature that the model does not have.
    ValueError
        The target is among the sources, there is no source, no cell has one, or no training cell had source and target;
        `part` is unknown, ``"linear"`` where there is none, or not the mixture with `return_sd` or
        `return_interval`; or free memory would not hold the result.

    Examples
    --------
    >>> predicted = model.impute("rna", "adt")
    >>> predicted.shape
    (600, 134)
    """
    fitted = self.fitted
    sources, t = direction(fitted, source, target)
    check_linear(fitted, part, sources, t)
    names = " or ".join(fitted.modalities[v] for v in sources)
    if spread_of(fitted, sources, t) is None:
        raise ValueError(
            f"No training cell had {target!r} together with {names}, so the model cannot have learned to predict one "
            "from the "
            "other. Train with cells that have both."
        )
    if (return_sd or return_interval) and part != "mixture":
        what = "Standard deviations" if return_sd else "Intervals"
        raise ValueError(f"{what} are those of part='mixture'; found part={part!r}. Leave one of them out.")
    batches = batch_positions(fitted, transform_batch)
    _, dataset, cells = query(self, adata, indices)
    if len(cells) and not dataset.present[cells][:, list(sources)].any():
        raise ValueError(f"None of the {len(cells)} cells has {names}, so nothing can be predicted from it.")
    columns = feature_positions(fitted, target, features)
    shape = (1 + return_sd + 2 * return_interval, len(cells), len(columns))
    check_memory(4 * math.prod(shape), f"Predictions of {len(columns)} features of {len(cells)} cells", REMEDY)
    out = np.full(shape, np.nan, np.float32)
    for chunk in fitted.encode(dataset, cells, batch_size, only=sources, loadings="trained"):
        values = predicted_values(fitted, chunk, sources, t, part, batches)
        for seen, positions in chunk.groups():
            rows = chunk.rows.start + positions
            if not seen:
                continue
            mean = values[positions]
            out[0, rows] = mean[:, columns]
            if len(out) > 1 and (spread := spread_of(fitted, seen, t)) is not None:
                sd = [spread.predict(mean)] if return_sd else []
                others = [*sd, *(spread.bounds(mean) if return_interval else ())]
                out[1:, rows] = [each[:, columns] for each in others]
    return tuple(out) if len(out) > 1 else out[0]


@checks_arguments
@torch.no_grad()
def get_normalized(
    self: FittedModel,
    modality: str,
    adata: MuData | AnnData | None = None,
    indices: Indices | None = None,
    batch_size: int = BATCH_SIZE,
    *,
    transform_batch: Category | Sequence[Category] | None = None,
) -> np.ndarray:
    """The features of a modality as the model sees them: without noise, and if wished without batch effects.

    Decoded from the modality's own state, which has looked at all modalities of the cell. To predict a modality from
    others alone, use `impute`.

    Parameters
    ----------
    modality
        Its name.
    adata, indices
        Which cells.
    batch_size
        Cells at once.
    transform_batch
        Decode as if the cells were of this batch, or the mean over several; None: of their own.

    Returns
    -------
    numpy.ndarray
        (n, features) float32, units as in `impute`; NaN in cells that lack the modality.

    Raises
    ------
    KeyError
        A modality or batch that the model does not have.

    Examples
    --------
    >>> model.get_normalized("adt").shape
    (600, 134)
    """
    fitted = self.fitted
    v, batches = fitted.position(modality), batch_positions(fitted, transform_batch)
    _, dataset, cells = query(self, adata, indices)
    shape = (len(cells), len(fitted.feature_names[modality]))
    what, remedy = f"{shape[1]} features of {shape[0]} cells", "Take some cells at a time: indices=[...]."
    check_memory(4 * math.prod(shape), what, remedy)
    out = np.full(shape, np.nan, np.float32)
    decoder = fitted.network.decoders[v]
    for chunk in fitted.encode(dataset, cells, batch_size, loadings="trained"):
        values = [
            decoded(fitted.network, decoder.scores(chunk.encoded.states[:, v], known, own=True), v)
            for known in as_batches(fitted, chunk, batches)
        ]
        here = dataset.present[cells[chunk.rows], v]
        out[chunk.rows][here] = to_numpy(torch.stack(values).mean(0))[here]
    return out


@checks_arguments
def mixture_weight(self: FittedModel, source: str | Sequence[str], target: str) -> float:
    """Weight of the network in its mixture with ridge regression, from 0 to 1.

    Fitted on validation cells, beside five that speak for ridge regression: what the experts add to a linear model in
    this direction. ½ without validation cells, 1 without a linear model.

    Parameters
    ----------
    source, target
        As in `impute`.

    Examples
    --------
    >>> 0 <= model.mixture_weight("rna", "adt") <= 1
    True
    """
    fitted = self.fitted
    sources, t = direction(fitted, source, target)
    key = mixture_of(fitted, sources, t)
    return 1.0 if key is None else fitted.readouts.mixtures[key, t].weight


def feature_positions(fitted: Fitted, target: str, features: Indices | None) -> Positions:
    """Positions of the features asked for among those of a modality; all without any."""
    names = pd.Index(fitted.feature_names[target], dtype=object)
    if features is None:
        return np.arange(len(names))
    return positions_of(features, names, "features", f"features of {target!r}")


def direction(fitted: Fitted, source: str | Sequence[str], target: str) -> tuple[Subset, int]:
    """Positions of sources and target; an error if one cannot be predicted from the others."""
    names = [source] if isinstance(source, str) else list(dict.fromkeys(source))
    sources, t = sorted(fitted.position(name) for name in names), fitted.position(target)
    if not sources or t in sources:
        raise ValueError(
            f"Predicting {target!r} needs source modalities other than itself; found {names}. "
            f"Choose from {[m for m in fitted.modalities if m != target]}."
        )
    return tuple(sources), t


def check_linear(fitted: Fitted, part: str, sources: Subset, target: int) -> None:
    """Raise if the linear member is wanted where there is none."""
    if part == "linear" and mixture_of(fitted, sources, target) is None:
        raise ValueError(
            f"There is no linear member for {fitted.modalities[target]!r}: it needs a likelihood of "
            "measured values and program tokens."
        )


def mixture_of(fitted: Fitted, sources: Subset, target: int) -> Subset | None:
    """The sources of the mixture that is used for these; None: there is none for the target."""
    return nearest_subset(sources, [subset for subset, t in fitted.readouts.mixtures if t == target])


def spread_of(fitted: Fitted, sources: Subset, target: int) -> Spread | None:
    """Uncertainties of predictions from these sources; None: there are none for the target."""
    subset = nearest_subset(sources, [subset for subset, t in fitted.readouts.spreads if t == target])
    return None if subset is None else fitted.readouts.spreads[subset, target]


def predicted_values(
    fitted: Fitted,
    chunk: Chunk,
    sources: Subset,
    target: int,
    part: str = "mixture",
    batches: Sequence[int | None] = (None,),
) -> np.ndarray:
    """Predicted values (B, D), the mean over batches, of cells encoded from the sources alone; `impute` checks more."""
    values = [
        decoded(fitted.network, predicted_scores(fitted, chunk, sources, target, part, covariates), target)
        for covariates in as_batches(fitted, chunk, batches)
    ]
    return to_numpy(torch.stack(values).mean(0))


def predicted_scores(
    fitted: Fitted, chunk: Chunk, sources: Subset, target: int, part: str, covariates: Tensor
) -> Tensor:
    """Program scores (B, K) of the target, as the members of the mixture say."""
    scores = cross_scores(fitted.network, chunk, sources, target, covariates)
    if part == "network":
        return scores
    for present, positions in chunk.groups():
        subset = mixture_of(fitted, present, target)
        if subset is None:
            continue
        mixture = fitted.readouts.mixtures[subset, target]
        rows = torch.from_numpy(positions).to(scores.device)
        linear = apply(mixture.linear, linear_inputs(fitted.network, chunk, subset, covariates)[rows])
        scores = scores.index_copy(0, rows, linear if part == "linear" else mixture.combine(linear, scores[rows]))
    return scores


def batch_positions(fitted: Fitted, transform_batch: Category | Sequence[Category] | None) -> list[int | None]:
    """Positions of the batches to predict for; None stands for the cells' own."""
    if transform_batch is None:
        return [None]
    names = names_of(transform_batch)
    if not names:
        raise ValueError("transform_batch must name at least one batch, or be None; found none.")
    batches = fitted.setup.batches
    codes = category_codes(pd.Series(names, dtype=object), batches)
    for name, code in zip(names, codes, strict=True):
        if code < 0:
            raise KeyError(f"This model has no batch {name!r}; it has {', '.join(batches) or 'none'}.")
    return codes.tolist()


def as_batches(fitted: Fitted, chunk: Chunk, batches: Sequence[int | None]) -> list[Tensor]:
    """Covariates (B, J) of the cells, as if they were of each of the batches."""
    return [as_batch(chunk.covariates, len(fitted.setup.batches), batch) for batch in batches]
