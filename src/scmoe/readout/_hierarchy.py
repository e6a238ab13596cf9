"""Labels that form a tree: probabilities of parents, and the lowest label that is sure enough."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray


def roll_up(
    probability: np.ndarray, labels: Sequence[str], hierarchy: Mapping[str, str], confidence: float
) -> tuple[NDArray[np.integer], NDArray[np.float64], list[str]]:
    """The lowest label or parent of each cell whose probability reaches a level.

    Parameters
    ----------
    probability
        (n, labels); rows sum to 1.
    labels
        Names of the labels.
    hierarchy
        Parent of each label, and of each parent that has one itself.
    confidence
        From above 0.5 to 1. Above one half, those that reach it are ancestors of each other, so the lowest is unique.

    Returns
    -------
    For each cell the position of the name, -1 where none reaches the level, and its probability, then that of the best
    root; and all names, the labels first.

    Raises
    ------
    ValueError
        Names that are neither labels nor their ancestors, or a circle.
    """
    for name, parent in hierarchy.items():
        if not isinstance(parent, str) or not parent:
            raise ValueError(
                f"hierarchy must name the parent of {name!r}; found {parent!r}. Leave names without a parent out."
            )
    lines = {label: _line(label, hierarchy) for label in labels}
    names = list(dict.fromkeys([*labels, *(name for line in lines.values() for name in line)]))
    strange = sorted(set(hierarchy) - set(names))
    if strange:
        raise ValueError(
            f"hierarchy has {', '.join(map(repr, strange))}, which the model does not know; its labels are "
            f"{', '.join(labels)}. Every name must be one of these, or a parent of them."
        )
    sums = np.stack([probability[:, [name in lines[label] for label in labels]].sum(1) for name in names], axis=1)
    depth = np.array([len(_line(name, hierarchy)) for name in names])
    # Sums of all labels can miss 1 by rounding.
    reaches = sums >= confidence - 1e-6
    lowest = np.where(reaches, depth, 0).argmax(1)
    column = np.where(reaches.any(1), lowest, sums.argmax(1))
    return np.where(reaches.any(1), lowest, -1), sums[np.arange(len(sums)), column].clip(0, 1), names


def _line(name: str, hierarchy: Mapping[str, str]) -> list[str]:
    """A name, its parent, and so on to the root."""
    line = [name]
    while line[-1] in hierarchy:
        parent = hierarchy[line[-1]]
        if parent in line:
            raise ValueError(f"hierarchy goes in a circle: {' → '.join([*line, parent])}. Leave one of these out.")
        line.append(parent)
    return line
