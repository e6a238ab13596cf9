"""What can be explained: one number a cell that can be differentiated with respect to what the model reads."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from mudata import MuData
from torch import Tensor

from scmoe._align import in_order_of
from scmoe.arguments._checked import checks_arguments
from scmoe.datasets._categories import Category, names_of
from scmoe.model._embed import embedded
from scmoe.model._features import decoded, embedding, label_views
from scmoe.model._fitted import Chunk, Fitted, FittedModel, Loadings, query
from scmoe.model._impute import direction, predicted_scores
from scmoe.readout._annotator import Annotator, fit_annotator
from scmoe.readout._subsets import Subset, nearest_subset

MIN_GROUP = 10
"""Cells of a group that can be told from the others."""
MAX_CELLS = 20_000
"""That groups are learned from; of more, a random subset."""


LOG_HALF = -0.6931471
"""log ½."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """What is to be explained; made by the methods of `scmoe.model.SCMOE`.

    Parameters
    ----------
    name
        In tables and figures.
    unit
        Of its values.
    values
        Of encoded cells, (B,).
    shown
        Modalities that the model may look at, by position; None: all that a cell has.
    loadings
        Which the encoded cells must be read with.
    agreement
        Share of the group's own cells for which its log-odds are above those of any other group; 1 where the model
        itself defines the target.
    """

    name: str
    unit: str
    values: Callable[[Chunk], Tensor]
    shown: Subset | None = None
    loadings: Loadings = "fixed"
    agreement: float = 1.0


@checks_arguments
def label_target(self: FittedModel, label: Category) -> Target:
    """The log-odds of a label, log p - log(1 - p), as `predict` gives p.

    Log-odds, not probabilities, because the latter hardly change in cells that the model is sure of.

    Parameters
    ----------
    label
        One of the labels that the model was trained with.

    Raises
    ------
    ValueError
        The model was trained without labels, or without this one.

    Examples
    --------
    >>> target = model.label_target("B")
    >>> target.unit
    'log-odds'
    """
    fitted = self.fitted
    labels = fitted.labels()
    (name,) = names_of(label)
    if name not in labels:
        raise ValueError(f"The model knows no label {name!r}{nearest(name, labels)}")
    k = labels.index(name)
    if not any(annotator.present[k] for annotator in fitted.readouts.annotators.values()):
        raise ValueError(f"No training cell has the label {name!r}, so the model never gives it.")
    return Target(name=name, unit="log-odds", values=lambda chunk: label_log_odds(fitted, chunk)[:, k])


@checks_arguments
def group_targets(self: FittedModel, groups: pd.Series, adata: MuData | AnnData | None = None) -> dict[str, Target]:
    """The log-odds of groups of cells that the model was not trained with, such as clusters.

    A class-balanced logistic regression learns the groups from the joint embedding; what is explained is how the
    embedding tells the groups apart. Each target's ``agreement`` says how well that goes.

    Parameters
    ----------
    groups
        Group of every cell; cells without one are not looked at. A Series that names its cells is matched by name.
    adata
        The cells; None: those of the training.

    Returns
    -------
    dict
        Of each group with at least ten cells, its target.

    Raises
    ------
    ValueError
        `groups` does not fit the cells, or fewer than two groups have ten cells.

    Examples
    --------
    >>> targets = model.group_targets(mdata.obs["scmoe_cluster"])
    """
    fitted, dataset, cells = query(self, adata, None)
    groups = in_order_of(groups, dataset.obs_names, "groups")
    if np.shape(groups) != (len(cells),):
        raise ValueError(f"groups must name one group a cell; found {np.shape(groups)} for {len(cells)} cells.")
    groups = pd.Series(groups)
    names = groups.astype("object").where(groups.notna(), None)
    sizes = names.astype("str").where(names.notna()).value_counts()
    kept = sorted(sizes.index[sizes >= MIN_GROUP])
    if len(kept) < 2:
        raise ValueError(
            f"Explaining groups needs at least two with {MIN_GROUP} cells; found {len(kept)} in {groups.name!r}."
        )
    codes = pd.Categorical(names.astype("str").where(names.notna()), categories=kept).codes
    subset = np.random.default_rng(fitted.seed).permutation(np.flatnonzero(codes >= 0))[:MAX_CELLS]
    points = embedded(fitted, dataset, subset)
    annotator = fit_annotator([points], codes[subset], len(kept), fitted.seed)
    found = annotator.predict([points]).argmax(1)

    def values(k: int, chunk: Chunk) -> Tensor:
        return log_odds(annotator, [embedding(fitted.network, fitted.readouts, chunk)])[:, k]

    return {
        name: Target(
            name=name,
            unit="log-odds",
            values=partial(values, k),
            agreement=float((found[codes[subset] == k] == k).mean()),
        )
        for k, name in enumerate(kept)
    }


@checks_arguments
def feature_target(self: FittedModel, source: str | Sequence[str], target: str, feature: str) -> Target:
    """The prediction of a feature from other modalities, as `impute` gives it and in its unit.

    Parameters
    ----------
    source, target
        As in `impute`: the target is absent from what the model looks at.
    feature
        Of the target.

    Raises
    ------
    KeyError
        A modality that the model does not have.
    ValueError
        An unknown feature, or modalities of which one cannot be predicted from the other.

    Examples
    --------
    >>> target = model.feature_target("rna", "adt", "CD19")
    """
    fitted = self.fitted
    sources, t = direction(fitted, source, target)
    features = fitted.feature_names[target]
    if feature not in features:
        raise ValueError(f"Modality {target!r} has no feature {feature!r}{nearest(feature, features)}")
    j = features.index(feature)

    def values(chunk: Chunk) -> Tensor:
        scores = predicted_scores(fitted, chunk, sources, t, "mixture", chunk.covariates)
        return decoded(fitted.network, scores, t)[:, j]

    return Target(name=feature, unit=f"prediction of {target}", values=values, shown=sources, loadings="trained")


def label_log_odds(fitted: Fitted, chunk: Chunk) -> Tensor:
    """(B, labels), differentiable; those of `label_probabilities`."""
    out = chunk.encoded.joint.new_zeros(len(chunk.covariates), len(fitted.setup.labels))
    for seen, positions in chunk.groups():
        known = nearest_subset(seen, fitted.readouts.annotators)
        assert known is not None
        rows = torch.from_numpy(positions).to(out.device)
        views = [view[rows] for view in label_views(fitted.network, chunk, known)]
        out = out.index_copy(0, rows, log_odds(fitted.readouts.annotators[known], views))
    return out


def log_odds(annotator: Annotator, views: Sequence[Tensor]) -> Tensor:
    """The log-odds (B, labels), log p - log(1 - p), of what `Annotator.predict` gives, as tensors.

    They are -inf for labels that it does not know.

    All in logarithms, so that gradients stay exact where p is 0 or 1 to the last digit.
    """
    members = []
    for view, slope, start, weight in zip(
        views, annotator.coefficients, annotator.intercepts, annotator.weights, strict=True
    ):
        if weight > 0:
            logits = view @ torch.from_numpy(slope).to(view) + torch.from_numpy(start).to(view)
            members.append(logits.log_softmax(1) + float(np.log(weight)))
    log_p = (torch.stack(members).logsumexp(0) / annotator.temperature).log_softmax(1)
    top = log_p.argmax(1, keepdim=True)
    is_top = torch.zeros_like(log_p, dtype=torch.bool).scatter(1, top, True)
    # 1 - p of the most probable label is the sum of the others; that of the others is at least a half.
    log_rest = torch.where(
        is_top,
        log_p.masked_fill(is_top, -torch.inf).logsumexp(1, keepdim=True),
        torch.log1p(-log_p.clamp(max=LOG_HALF).exp()),
    )
    known = torch.from_numpy(np.flatnonzero(annotator.present)).to(log_p.device)
    out = log_p.new_full((len(log_p), len(annotator.present)), -torch.inf)
    return out.index_copy(1, known, log_p - log_rest)


def nearest(name: str, known: Sequence[str]) -> str:
    """The end of a message: names that look like an unknown one, or the first known ones."""
    folded = {each.lower(): each for each in known}
    close = [folded[each] for each in get_close_matches(name.lower(), folded, n=3)]
    if close:
        return f"; did you mean {', '.join(map(repr, close))}?"
    return f"; it has {', '.join(known[:8])}{', …' if len(known) > 8 else ''}."
