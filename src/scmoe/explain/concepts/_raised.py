"""Whether a target changes when a set of genes is raised, more than when random sets of genes are."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from mudata import MuData
from numpy.typing import NDArray

from scmoe.explain._permutation import permutation_p
from scmoe.explain.concepts._cav import Array, unit
from scmoe.explain.concepts._cells import MAX_CONCEPT, Activations, cells_with
from scmoe.explain.concepts._checks import check_gradients
from scmoe.explain.concepts._tcav import COLUMNS, ConceptTest, derivative_note, without_test_if_rare

Move = Callable[[str, NDArray[np.float32], NDArray[np.intp]], Activations]
"""Of a modality, shifts of its features (S, D) and cells: mean changes of the cells' activations in a layer (S, F)."""


@dataclass(frozen=True, kw_only=True)
class RaisedConcept:
    """Some genes are higher than they are, all else being equal.

    Parameters
    ----------
    name
        In tables and figures.
    modality
        That the genes belong to.
    rise
        (D,) how far each feature of the modality is raised when it is, in standard deviations.
    sets
        Features that are raised: those of the concept, then those of random concepts.
    """

    name: str
    modality: str
    rise: NDArray[np.float64]
    sets: list[NDArray[np.intp]]
    kind: str = field(default="gene set", init=False)
    by_target: bool = field(default=False, init=False)

    def directions(self, mdata: MuData, move: Move, rng: np.random.Generator) -> Array:
        """Where a layer's activations go, (1 + random concepts, F), the concept's own first."""
        cells = np.flatnonzero(cells_with(mdata, self.modality))
        shifts = np.zeros((len(self.sets), len(self.rise)), np.float32)
        for row, genes in zip(shifts, self.sets, strict=True):
            row[genes] = self.rise[genes]
        return move(self.modality, shifts, rng.permutation(cells)[:MAX_CONCEPT]).astype(np.float64)


def raised_test(directions: Array, n_concept: int, gradients: Mapping[str, NDArray[np.floating]]) -> ConceptTest:
    """Test whether targets change in a direction more than in random ones of the same make.

    Parameters
    ----------
    directions
        (1 + n_random, F) in a layer: that of the concept, and those of random concepts.
    n_concept
        Cells that they were found in.
    gradients
        Of each target, its gradient with respect to the layer in some of its cells, (n_k, F).

    Returns
    -------
    The columns of `concept_test`. The direction is known and not learned: its accuracy is 1, and so is the cosine.
    ``p`` is the share of directions, the random ones and this one, whose ``derivative`` is at least as large in size.
    """
    for name, gradient in gradients.items():
        check_gradients(name, np.asarray(gradient, np.float64))
    units, rows = unit(directions), []
    for name, gradient in gradients.items():
        length = float(np.linalg.norm(gradient, axis=1).mean())
        derivative = gradient.astype(np.float64) @ units[0]
        effects = units @ gradient.mean(axis=0, dtype=np.float64)
        row = {
            "target": name,
            "n_concept": n_concept,
            "n_pool": n_concept,
            "n_random": len(directions) - 1,
            "n_cells": len(gradient),
            "cav_accuracy": 1.0,
            "cav_accuracy_p": 0.0,
            "cav_cosine": 1.0,
            "score": float((derivative > 0).mean()),
            "score_sd": 0.0,
            "derivative": float(derivative.mean() / length),
            "p": float(permutation_p(np.abs(effects) / length)),
            "p_ttest": 1.0,
            "note": derivative_note(derivative / length),
        }
        rows.append(without_test_if_rare(row))
    return ConceptTest(pd.DataFrame(rows)[COLUMNS], units[0])
