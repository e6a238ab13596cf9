"""Labels that form a tree: probabilities of parents, and the lowest label that is sure enough."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from scmoe.metrics._hierarchy import Hierarchy, line, parents_of


def roll_up(
    probability: np.ndarray, labels: Sequence[str], hierarchy: Hierarchy, confidence: float
) -> tuple[NDArray[np.integer], NDArray[np.float64], list[str]]:
    """The lowest label or parent of each cell whose probability reaches a level.

    Parameters
    ----------
    probability
        (n, labels); rows sum to 1.
    labels
        Names of the labels.
    hierarchy
        Parent of each label, and of each parent that has one itself; or a table of names from coarse to fine.
    confidence
        From above 0.5 to 1. Above one half, those that reach it are ancestors of each other, so the lowest is unique.

    Returns
    -------
    For each cell the position of the name, -1 where none reaches the level, and its probability, then that of the best
    root; and all names, the labels first.

    Raises
    ------
    ValueError
        Names that are neither labels nor their ancestors, a name with two parents, or a circle.
    """
    parents = parents_of(hierarchy)
    lines = {label: line(label, parents) for label in labels}
    names = list(dict.fromkeys([*labels, *(name for line in lines.values() for name in line)]))
    strange = sorted(set(parents) - set(names))
    if strange:
        raise ValueError(
            f"hierarchy has {', '.join(map(repr, strange))}, which the model does not know; its labels are "
            f"{', '.join(labels)}. Every name must be one of these, or a parent of them."
        )
    sums = np.stack([probability[:, [name in lines[label] for label in labels]].sum(1) for name in names], axis=1)
    depth = np.array([len(line(name, parents)) for name in names])
    # Sums of all labels can miss 1 by rounding.
    reaches = sums >= confidence - 1e-6
    lowest = np.where(reaches, depth, 0).argmax(1)
    column = np.where(reaches.any(1), lowest, sums.argmax(1))
    return np.where(reaches.any(1), lowest, -1), sums[np.arange(len(sums)), column].clip(0, 1), names
