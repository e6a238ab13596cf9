"""Running the tests of `tcav`: targets, and all concepts in one layer."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from mudata import MuData
from numpy.typing import NDArray

from scmoe.datasets._categories import Category
from scmoe.explain.concepts._cells import CONTROL, MAX_CONCEPT, Activations, Concept, ScoreConcept, View
from scmoe.explain.concepts._checks import MIN_CONCEPT
from scmoe.explain.concepts._features import FeatureConcept, complete_cells
from scmoe.explain.concepts._matched import matched_p
from scmoe.explain.concepts._raised import RaisedConcept, raised_test
from scmoe.explain.concepts._tcav import run_test
from scmoe.tl._targets import TargetCells, resolve_groups

if TYPE_CHECKING:
    from scmoe.model._scmoe import SCMOE

MAX_TARGET = 500
"""Cells of a target whose gradients are taken."""
FIRST = ["layer", "target", "concept", "kind"]


def usable_targets(
    mdata: MuData,
    model: "SCMOE",
    targets: Category | Sequence[Category] | None,
    groupby: str | None,
    concepts: Sequence[Concept | RaisedConcept],
    key: str,
) -> dict[str, TargetCells]:
    """The targets asked for, or all that concepts can be made for."""
    entries = {entry.target.name: entry for entry in resolve_groups(mdata, model, targets, groupby, key)}
    if targets is not None:
        return entries
    usable = np.ones(mdata.n_obs, dtype=bool)
    if any(isinstance(concept, FeatureConcept) for concept in concepts):
        usable = complete_cells(mdata, model.setup)
    sizes = {name: int(usable[entry.cells].sum()) for name, entry in entries.items()}
    if max(sizes.values()) < MIN_CONCEPT:
        raise ValueError(
            f"No group has {MIN_CONCEPT} cells to learn a concept from; found {sizes}. Name targets=, or use more "
            "cells."
        )
    return {name: entry for name, entry in entries.items() if sizes[name] >= MIN_CONCEPT}


def run_layer(
    mdata: MuData,
    model: "SCMOE",
    layer: str,
    targets: Mapping[str, TargetCells],
    concepts: Sequence[Concept | RaisedConcept],
    *,
    n_random: int,
    n_permutations: int,
    seed: int,
    progress: Callable[[], object],
) -> pd.DataFrame:
    """All concepts and targets in one layer, without what depends on other layers; see `scmoe.tl.tcav`."""
    view = View(
        mdata=mdata,
        setup=model.setup,
        activations=model.get_activations(layer, mdata),
        encode=lambda altered: model.get_activations(layer, altered),
        n_pool=n_random,
    )
    gradients = {
        name: model.get_gradients(entry.target, layer, mdata, entry.cells[:MAX_TARGET].tolist())
        for name, entry in targets.items()
    }

    def move(modality: str, shifts: NDArray[np.float32], cells: NDArray[np.intp]) -> Activations:
        return model.get_directions(layer, modality, shifts, mdata, cells.tolist())

    tables, cavs = [], []
    for concept in concepts:
        # Concepts that are the same for all targets are learned once.
        for names in [[name] for name in targets] if concept.by_target else [list(targets)]:
            mask, rng = targets[names[0]].truth == 1, np.random.default_rng(seed)
            subset, matched = {name: gradients[name] for name in names}, np.nan
            if isinstance(concept, RaisedConcept):
                result = raised_test(concept.directions(mdata, move, rng), MAX_CONCEPT, subset)
            else:
                sets = concept.sets(view, mask, rng)
                result = run_test(*sets, subset, n_random=n_random, n_permutations=n_permutations, seed=seed)
            if isinstance(concept, ScoreConcept) and concept.matched is not None:
                matched = matched_p(concept, view, mask, gradients[names[0]], seed)
            tables.append(result.table.assign(concept=concept.name, kind=concept.kind, p_matched=matched))
            cavs += [result.cav] * len(names)
        progress()
    table = pd.concat(tables, ignore_index=True).assign(layer=layer)
    table["control_cosine"] = control_cosines(table, np.stack(cavs))
    return table[FIRST + [name for name in table if name not in FIRST]]


def control_cosines(table: pd.DataFrame, cavs: NDArray[np.floating]) -> NDArray[np.float64]:
    """Largest absolute cosine of each row's direction with that of a control of another name; NaN without one."""
    name, is_control = table["concept"].to_numpy(), (table["kind"] == CONTROL).to_numpy()
    other = is_control[None, :] & (name[:, None] != name[None, :])
    size = np.where(other, np.abs(cavs @ cavs.T), -1.0).max(axis=1)
    return np.where(size < 0, np.nan, size)
