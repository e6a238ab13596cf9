"""How often names are right at each level of a tree of labels, and how many cells have one."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from scmoe._align import in_one_order
from scmoe.arguments._checked import checks_arguments
from scmoe.datasets._categories import Category, names_of
from scmoe.metrics._confusion import Labels, cell_labels
from scmoe.metrics._hierarchy import Hierarchy, levels_of, line, parents_of
from scmoe.metrics._wilson import wilson_interval

DECLINED = "declined"
"""Not in a tree: a cell whose name is none of it."""


@checks_arguments
def level_accuracy(
    truth: Labels,
    names: Labels,
    confidence: ArrayLike | pd.Series,
    *,
    hierarchy: Hierarchy,
    labels: Sequence[Category],
) -> pd.DataFrame:
    """Coverage and accuracy of names from a tree, at each level.

    A cell has a name at a level if its name is of that level or a finer one. It is right if its ancestor at that level
    is that of the truth.

    Parameters
    ----------
    truth
        True label of every cell, ``(n_cells,)``.
    names
        Name of every cell, ``(n_cells,)``, such as ``mdata.obs["scmoe_label_rollup"]``; any other text says that the
        cell has none. Series that name their cells are matched by name.
    confidence
        Probability of that name, ``(n_cells,)``.
    hierarchy
        Parents by name; or a table with a column a level, from coarse to fine, such as
        ``mdata.obs[["lineage", "cell_type"]]``.
    labels
        The labels, which are the finest level.

    Returns
    -------
    One row a level, the finest first, indexed by ``level``: the column, or the steps above the labels. ``coverage``,
    the share of cells with a name at this level; ``accuracy`` of these, with Wilson's interval ``accuracy_low`` and
    ``accuracy_high``; and of the cells whose name is of this very level ``n_named``, ``accuracy_named`` and
    ``confidence_named``, the mean probability, which is equal to it if probabilities are what they say. NaN without
    such cells.

    Raises
    ------
    ValueError
        A true label is none of `labels`, a name has two parents, or the arguments are not of the same cells.

    Examples
    --------
    >>> tree = {"CD4": "T", "CD8": "T"}
    >>> table = level_accuracy(
    ...     ["CD4", "CD8", "B"], ["T", "CD4", "B"], [0.9, 0.9, 1.0], hierarchy=tree, labels=["CD4", "CD8", "B"]
    ... )
    >>> table[["coverage", "accuracy"]].round(2).to_dict("list")
    {'coverage': [0.67, 1.0], 'accuracy': [0.5, 1.0]}
    """
    truth, names, confidence = in_one_order({"truth": truth, "names": names, "confidence": confidence})
    true, given = cell_labels(truth, "truth"), cell_labels(names, "names")
    values, known = np.asarray(confidence, dtype=np.float64), names_of(labels)
    if not len(true) == len(given) == len(values):
        raise ValueError(
            f"truth, names and confidence must be of the same cells; found {len(true)}, {len(given)} and {len(values)}."
        )
    strange = sorted(set(true) - set(known))
    if strange:
        raise ValueError(f"truth has {strange[0]!r}, which is none of labels: {', '.join(known)}.")
    parents, levels = parents_of(hierarchy), levels_of(known, hierarchy)
    rank = {level: i for i, level in enumerate(_in_order(hierarchy, levels))}
    rows = []
    for level, height in rank.items():
        upward = {name: _ancestor(name, parents, levels, rank, height) for name in levels}
        is_named = np.array([name in levels and rank[levels[name]] <= height for name in given], bool)
        own = np.array([name in levels and levels[name] == level for name in given], bool)
        right = np.array([upward.get(name, DECLINED) == upward[label] for name, label in zip(given, true, strict=True)])
        low, high = wilson_interval(right[is_named].sum(), is_named.sum())
        rows.append(
            {
                "level": level,
                "coverage": is_named.mean() if len(true) else np.nan,
                "accuracy": right[is_named].mean() if is_named.any() else np.nan,
                "accuracy_low": float(low),
                "accuracy_high": float(high),
                "n_named": int(own.sum()),
                "accuracy_named": right[own].mean() if own.any() else np.nan,
                "confidence_named": values[own].mean() if own.any() else np.nan,
            }
        )
    return pd.DataFrame(rows).set_index("level")


def _in_order(hierarchy: Hierarchy, levels: Mapping[str, str]) -> list[str]:
    """Levels that have a name, the finest first."""
    present = set(levels.values())
    if isinstance(hierarchy, pd.DataFrame):
        return [str(column) for column in list(hierarchy)[::-1] if str(column) in present]
    return sorted(present, key=int)


def _ancestor(
    name: str, parents: Mapping[str, str], levels: Mapping[str, str], rank: Mapping[str, int], height: int
) -> str:
    """The highest of a name's ancestors that is no higher than a level."""
    return [each for each in line(name, parents) if rank[levels[each]] <= height or each == name][-1]
