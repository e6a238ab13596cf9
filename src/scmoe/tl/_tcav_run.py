"""Running the tests of `tcav`: targets, and all concepts in one layer."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from mudata import MuData
from numpy.typing import NDArray

from scmoe._log import logger
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
    concepts: Sequence[Concept],
    key: str,
    *,
    has_gene_sets: bool,
) -> dict[str, TargetCells]:
    """The targets asked for, or all that concepts can be made for.

    Concepts of modalities and missing rates are made from the target's own cells. A target that has too few, and was
    asked for, is tested for the other concepts alone.
    """
    entries = {entry.target.name: entry for entry in resolve_groups(mdata, model, targets, groupby, key)}
    of_cells = [concept for concept in concepts if isinstance(concept, FeatureConcept)]
    usable = complete_cells(mdata, model.setup) if of_cells else np.ones(mdata.n_obs, dtype=bool)
    sizes = {name: int(usable[entry.cells].sum()) for name, entry in entries.items()}
    small = {name: size for name, size in sizes.items() if size < MIN_CONCEPT}
    others = [concept for concept in concepts if concept not in of_cells and concept.kind != CONTROL]
    if targets is None:
        if len(small) == len(sizes):
            raise ValueError(
                f"No group has {MIN_CONCEPT} cells to learn a concept from; found {sizes}. Name targets=, with "
                "gene_sets=, markers= or cells=, or use more cells."
            )
        if small:
            logger.info("too few cells for a target, fewer than %d: %s", MIN_CONCEPT, _listing(small))
        return {name: entry for name, entry in entries.items() if name not in small}
    if of_cells and small:
        remedy = "Pass gene_sets=, markers= or cells= to test them, or leave them out of targets"
        if not others and not has_gene_sets:
            raise ValueError(
                f"Concepts of modalities and missing rates are made from cells of the target that have all modalities, "
                f"at least {MIN_CONCEPT}; found {_listing(small)}. {remedy}."
            )
        logger.warning(
            "not tested for modalities and missing rates, which take %d cells that have all modalities: %s",
            MIN_CONCEPT,
            _listing(small),
        )
    return entries


def _listing(sizes: Mapping[str, int]) -> str:
    return ", ".join(f"{name} ({size})" for name, size in sizes.items())


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

    tables, cavs, complete = [], [], complete_cells(mdata, model.setup)
    for concept in concepts:
        # Concepts that are the same for all targets are learned once.
        for names in [[name] for name in targets] if concept.by_target else [list(targets)]:
            mask, rng = targets[names[0]].truth == 1, np.random.default_rng(seed)
            if isinstance(concept, FeatureConcept) and (mask & complete).sum() < MIN_CONCEPT:
                continue  # see `usable_targets`
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
