"""Targets of the explaining verbs, and the cells that each is explained in."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from mudata import MuData

from scmoe._keys import Keys
from scmoe.data._features import match_features
from scmoe.data._match import is_protein
from scmoe.datasets._categories import Category, category_names, names_of
from scmoe.explain.concepts._cells import cells_with
from scmoe.model.explain._targets import MIN_GROUP, nearest
from scmoe.readout._subsets import nearest_subset
from scmoe.tl._tables import groups_of

if TYPE_CHECKING:
    from scmoe.model._scmoe import SCMOE
    from scmoe.model.explain._targets import Target

MIN_CELLS = 10
"""Of a label or group, when none are named."""


class TargetCells(NamedTuple):
    """A target, and where to look at it."""

    target: "Target"
    cells: np.ndarray
    """Positions of the cells it is explained in, in random order."""
    truth: np.ndarray
    """(n_obs,) whether a cell belongs to the group, or its measured value of the feature; NaN where unknown."""


def resolve_targets(
    mdata: MuData,
    model: "SCMOE",
    targets: Category | Sequence[Category] | None,
    groupby: str | None,
    modality: str | None,
    source: str | Sequence[str] | None,
    key: str,
) -> list[TargetCells]:
    """Targets that the arguments of `scmoe.tl.attribute` name."""
    if modality is None:
        if source is not None:
            raise ValueError(
                "source= belongs to modality=, whose features are predicted from it; name the modality too."
            )
        return resolve_groups(mdata, model, targets, groupby, key)
    if groupby is not None:
        raise ValueError("groupby= explains groups of cells, modality= predictions of features; give one of the two.")
    return resolve_features(mdata, model, modality, targets, source)


def resolve_groups(
    mdata: MuData, model: "SCMOE", targets: Category | Sequence[Category] | None, groupby: str | None, key: str
) -> list[TargetCells]:
    """Labels of the model, or groups of cells in another column, each in its own cells.

    Raises
    ------
    KeyError
        `groupby` is not a column.
    ValueError
        The model has no labels and `groupby` is None, the data have none, a target is unknown or has no cell, or the
        model never gives it to cells with these modalities.
    """
    column = groupby or model.setup.labels_key
    if column is None:
        raise ValueError(
            "This model was trained without labels. Name a column of cell groups with groupby=, such as the clusters."
        )
    if groupby is None and column not in mdata.obs:
        raise ValueError(
            f"The labels that the model was trained with, mdata.obs[{column!r}], are not in these data. Name a column "
            f"with groupby=, such as the predicted labels, groupby={Keys(name=key).label!r}."
        )
    # Labels may be numbers of any kind: the model knows them as text.
    is_labels = column == model.setup.labels_key and column in mdata.obs
    groups = mdata.obs[column] if is_labels else groups_of(mdata, column)
    assert groups is not None
    names = category_names(groups).fillna("")
    usable = {}
    if column in (model.setup.labels_key, Keys(name=key).label):
        names = names.where(names != model.setup.unlabeled_category, "")
        known = model.setup.labels
        make: Callable[[str], Target] = model.label_target
        usable = _cells_by_label(mdata, model)
    else:
        group_targets = model.group_targets(groups, mdata)
        known, make = list(group_targets), group_targets.__getitem__
    everywhere = np.ones(mdata.n_obs, dtype=bool)
    cells = {name: (names == name).to_numpy() & usable.get(name, everywhere) for name in known}
    requested = _as_list(targets)
    if requested is None:
        requested = [name for name in known if cells[name].sum() >= MIN_CELLS]
        if not requested:
            raise ValueError(f"No group of mdata.obs[{column!r}] that the model knows has {MIN_CELLS} cells.")
    for name in requested:
        _check_group(name, column, names, known, cells)
    truth = {name: np.where(names == "", np.nan, names == name).astype(float) for name in requested}
    # One order, whichever targets are named: the first cells of each are always the same random subset.
    order = np.random.default_rng(model.seed).permutation(mdata.n_obs)
    return [TargetCells(make(name), order[cells[name][order]], truth[name]) for name in requested]


def _check_group(name: str, column: str, names: pd.Series, known: Sequence[str], cells: dict[str, np.ndarray]) -> None:
    """Raise unless a group can be explained, in at least one cell."""
    if name not in known and 0 < (n_cells := int((names == name).sum())) < MIN_GROUP:
        raise ValueError(
            f"Group {name!r} of {column!r} has {n_cells} cells; {MIN_GROUP} are needed to tell it from others."
        )
    if name not in known:
        raise ValueError(f"The model cannot tell a group {name!r} of {column!r} from others{nearest(name, known)}")
    if not (names == name).any():
        listing = ", ".join(names[names != ""].value_counts().index[:8])
        raise ValueError(f"No cell of mdata.obs[{column!r}] is {name!r}; found {listing}.")
    if not cells[name].any():
        raise ValueError(
            f"The model never gives the label {name!r} to cells with the modalities that these {name!r} cells have: no "
            "cell like them had it in the training. Leave it out."
        )


def _cells_by_label(mdata: MuData, model: "SCMOE") -> dict[str, np.ndarray]:
    """Of each label, the cells that the model can give it to.

    The annotator of a cell's modalities reads its label. It does not know labels that no cell with these modalities
    had in the training: their log-odds are -inf, whatever the features.
    """
    membership = [cells_with(mdata, name) for name in model.modalities]
    patterns, pattern_of_cell = np.unique(np.stack(membership, axis=1), axis=0, return_inverse=True)
    knows = np.zeros((len(patterns), len(model.setup.labels)), dtype=bool)
    for row, pattern in zip(knows, patterns, strict=True):
        subset = nearest_subset(tuple(np.flatnonzero(pattern).tolist()), model.readouts.annotators)
        if subset is not None:
            row[:] = model.readouts.annotators[subset].present
    return dict(zip(model.setup.labels, knows[pattern_of_cell.ravel()].T, strict=True))


def resolve_features(
    mdata: MuData,
    model: "SCMOE",
    modality: str,
    targets: Category | Sequence[Category] | None,
    source: str | Sequence[str] | None,
) -> list[TargetCells]:
    """Features of a modality, predicted from others, in the cells that have one of these.

    Raises
    ------
    KeyError
        A modality that the model does not have.
    ValueError
        No feature is named, one is unknown, or no cell has a source.
    """
    features = _as_list(targets)
    if not features:
        raise ValueError(f"Name the features of {modality!r} whose prediction is to be explained: targets=[...].")
    if source is None:
        source = [name for name in model.modalities if name != modality]
    feature_targets = [model.feature_target(source, modality, feature) for feature in features]
    sources = [source] if isinstance(source, str) else list(source)
    order = np.random.default_rng(model.seed).permutation(mdata.n_obs)
    has_source = np.any([cells_with(mdata, name) for name in sources], axis=0)
    cells = order[has_source[order]]
    if not len(cells):
        raise ValueError(f"No cell has {' or '.join(sources)}, so there is no prediction of {modality!r} to explain.")
    return [
        TargetCells(target, cells, _observed_values(mdata, model, modality, feature))
        for target, feature in zip(feature_targets, features, strict=True)
    ]


def _as_list(targets: Category | Sequence[Category] | None) -> list[str] | None:
    """Names, each once."""
    return None if targets is None else list(dict.fromkeys(names_of(targets)))


def _observed_values(mdata: MuData, model: "SCMOE", modality: str, feature: str) -> np.ndarray:
    """Values of a feature in all cells, NaN where the modality or the feature is not there."""
    out = np.full(mdata.n_obs, np.nan)
    adata = mdata.mod.get(modality)
    if adata is None:
        return out
    features = model.setup.feature_names[modality]
    match = match_features(features, adata, is_protein=is_protein(modality, model.setup))
    position = match.columns[features.index(feature)]
    if position >= 0:
        column = adata[:, position].to_df(model.setup.layers[modality]).iloc[:, 0]
        out[mdata.obs_names.get_indexer(adata.obs_names)] = column
    return out
