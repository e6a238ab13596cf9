"""Trees of labels: parents, lines to the root, and levels."""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import pandas as pd

Hierarchy: TypeAlias = Mapping[str, str] | pd.DataFrame
"""Parents by name, or a table of names with a column a level, from coarse to fine."""


def parents_of(hierarchy: Hierarchy) -> dict[str, str]:
    """Parent of each name.

    Parameters
    ----------
    hierarchy
        Parents by name; or a table with a column a level, from coarse to fine, whose rows may repeat. A gap has no
        parent, and a name that is the same in the next level is its own.

    Raises
    ------
    ValueError
        A name has two parents, or a parent is no name.
    """
    if isinstance(hierarchy, pd.DataFrame):
        return _parents_in(hierarchy)
    for name, parent in hierarchy.items():
        if not isinstance(parent, str) or not parent:
            raise ValueError(
                f"hierarchy must name the parent of {name!r}; found {parent!r}. Leave names without a parent out."
            )
    return dict(hierarchy)


def _parents_in(table: pd.DataFrame) -> dict[str, str]:
    parents: dict[str, str] = {}
    columns = list(table)
    for coarse, fine in zip(columns[:-1], columns[1:], strict=True):
        pairs = table[[coarse, fine]].dropna().astype(str).drop_duplicates()
        for parent, name in pairs[pairs[coarse] != pairs[fine]].itertuples(index=False, name=None):
            if parents.setdefault(name, parent) != parent:
                raise ValueError(
                    f"hierarchy must be a tree: {name!r} ({fine}) is in {parents[name]!r} and {parent!r} ({coarse}). "
                    "Correct one of them, or leave the column out."
                )
    return parents


def line(name: str, parents: Mapping[str, str]) -> list[str]:
    """A name, its parent, and so on to the root."""
    names = [name]
    while names[-1] in parents:
        parent = parents[names[-1]]
        if parent in names:
            raise ValueError(f"hierarchy goes in a circle: {' → '.join([*names, parent])}. Leave one of these out.")
        names.append(parent)
    return names


def levels_of(labels: Sequence[str], hierarchy: Hierarchy) -> dict[str, str]:
    """The level of each name, the finest first: the column that it is in, or its steps above the labels."""
    parents = parents_of(hierarchy)
    heights = dict.fromkeys(labels, 0)
    for label in labels:
        for height, name in enumerate(line(label, parents)):
            heights[name] = max(heights.get(name, 0), height)
    if not isinstance(hierarchy, pd.DataFrame):
        return {name: str(height) for name, height in sorted(heights.items(), key=lambda item: item[1])}
    levels = {name: str(list(hierarchy)[-1]) for name in heights if heights[name] == 0}
    for column in list(hierarchy)[::-1]:
        entries = set(hierarchy[column].dropna().astype(str))
        levels |= {name: str(column) for name in heights if name in entries and name not in levels}
    return levels
