"""Whether random concepts of the same make do as much as a concept."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from scmoe.explain._permutation import permutation_p
from scmoe.explain.concepts._cells import Mask, ScoreConcept, View
from scmoe.explain.concepts._tcav import effect


def matched_p(concept: ScoreConcept, view: View, target: Mask, gradient: NDArray[np.floating], seed: int) -> float:
    """Share of random concepts whose effect on a target is at least as large, the concept itself among them.

    Parameters
    ----------
    concept
        One with ``matched`` scores.
    view
        The cells.
    target
        (n_cells,) which cells belong to the target.
    gradient
        Of the target in some of its cells, (n_k, F).
    seed
        Of the draws of cells.

    Notes
    -----
    The label's permutation asks whether the concept's cells differ from others in what the target depends on. In data
    with a few cell types most sets of genes do, for they differ between types. Random sets say how much of it that
    explains.
    """
    balanced = view._replace(n_pool=1)
    assert concept.matched is not None
    concepts = [concept, *(replace(concept, scores=scores, matched=None) for scores in concept.matched)]
    effects = [
        effect(*candidate.sets(balanced, target, np.random.default_rng(seed)), gradient) for candidate in concepts
    ]
    return float(permutation_p(np.array(effects)))
