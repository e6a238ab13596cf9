"""Which labels of the marrow reference are which gated types of blood, and of which lineage."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

OTHER = "another type"
TYPES = {
    "CD4+ T naive": "CD4 naive",
    "CD4+ T memory": "CD4 memory",
    "CD8+ T naive": "CD8 naive",
    "CD8+ T memory": "CD8 memory/effector",
    "gdT and MAIT": "CD8 memory/effector",
    "NK": "NK",
    "ILC": "NK",
    "B naive": "B",
    "B1 B": "B",
    "Transitional B": "B",
    "Plasma cell": "B",
    "CD14+ Mono": "CD14 mono",
    "CD16+ Mono": "CD16 mono",
}
"""Labels of the reference and gates that such cells fall into; those that blood hardly has are another type."""
LINEAGES = {
    "CD4 naive": "T",
    "CD4 memory": "T",
    "CD8 naive": "T",
    "CD8 memory/effector": "T",
    "NK": "NK",
    "B": "B",
    "CD14 mono": "monocytes",
    "CD16 mono": "monocytes",
}
LEVELS = ("types", "lineages")


def at_level(names: Sequence[str], level: str, *, is_reference: bool) -> list[str]:
    """Names of labels of the reference, or of gates, at one of the `LEVELS`."""
    types = [TYPES.get(name, OTHER) for name in names] if is_reference else list(names)
    return types if level == "types" else [LINEAGES.get(name, OTHER) for name in types]


def summed(probability: np.ndarray, names: Sequence[str]) -> tuple[NDArray[np.floating], list[str]]:
    """Probabilities (n, C) of different names, from those (n, K) of labels that share names."""
    unique = sorted(set(names))
    is_name = np.array([[name == other for other in unique] for name in names], float)
    return np.asarray(probability) @ is_name, unique
