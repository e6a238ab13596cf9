"""Sets of modalities that a cell may have: readouts are fitted for each."""

from collections.abc import Collection
from itertools import combinations

Subset = tuple[int, ...]
"""Positions of modalities, ascending."""
MAX_MODALITIES = 3
"""With more, not all subsets are fitted: their number doubles with each modality."""


def fitted_subsets(n_modalities: int) -> list[Subset]:
    """The sets that readouts are fitted for: all, or with many modalities the lone ones, all but one, and the whole."""
    sizes = {1, n_modalities - 1, n_modalities} - {0} if n_modalities > MAX_MODALITIES else range(1, n_modalities + 1)
    return [subset for size in sorted(sizes) for subset in combinations(range(n_modalities), size)]


def nearest_subset(subset: Subset, fitted: Collection[Subset]) -> Subset | None:
    """The largest fitted set within `subset` (the first of several); None if there is none."""
    inside = [other for other in fitted if set(other) <= set(subset)]
    return max(inside, key=len, default=None)
