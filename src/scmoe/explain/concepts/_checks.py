"""What a test of a concept cannot be run on."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from scmoe.explain.concepts._cav import Array, unit

MIN_CONCEPT = 30
"""Cells of a concept that a direction can be learned from."""
ALIGNED = 1 - 1e-6
"""Cosine with their mean from which gradients are the same in all cells, up to rounding."""


def check_sets(
    positives: NDArray[np.floating],
    pool: NDArray[np.floating],
    gradients: Mapping[str, NDArray[np.floating]],
    n_random: int,
    n_permutations: int,
) -> None:
    """Raise unless `concept_test` can be run."""
    if n_random < 2 or n_permutations < 1:
        raise ValueError(
            "A test needs at least 2 random sets and 1 permutation; "
            f"found n_random={n_random} and n_permutations={n_permutations}."
        )
    if len(positives) < MIN_CONCEPT or len(pool) < len(positives):
        raise ValueError(
            f"A concept needs at least {MIN_CONCEPT} cells, and as many others to compare with; found {len(positives)} "
            f"and {len(pool)}. Widen the concept, or use more cells."
        )
    if not gradients:
        raise ValueError("gradients must hold at least one target; found none.")
    for name, array in {"positives": positives, "pool": pool, **gradients}.items():
        if array.ndim != 2 or array.shape[1] != positives.shape[1] or not len(array):
            raise ValueError(f"{name!r} must be cells x {positives.shape[1]} features; found the shape {array.shape}.")
        if not np.isfinite(array).all():
            raise ValueError(f"{name!r} must hold finite numbers; found others. Check the cells' values.")
    for name, gradient in gradients.items():
        check_gradients(name, np.asarray(gradient, np.float64))


def check_gradients(target: str, gradients: Array) -> None:
    """Raise where TCAV scores would be 0 or 1 whatever the concept."""
    mean = gradients.mean(axis=0)
    if not gradients.any():
        raise ValueError(
            f"Target {target!r} does not depend on this layer: its gradients are zero. Choose an earlier layer; "
            "'input' sees all that a model reads."
        )
    cosine = unit(gradients) @ unit(mean)
    if len(gradients) > 1 and cosine.min() > ALIGNED:
        raise ValueError(
            f"Target {target!r} has the same gradient in all {len(gradients)} cells: all that comes after this layer "
            "is linear for it, so its TCAV score is 0 or 1 for any concept. Choose an earlier layer, or another "
            "target, such as a probability."
        )
