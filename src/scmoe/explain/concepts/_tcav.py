"""Whether a target changes along the direction of a concept (TCAV), and whether chance does as much."""

import warnings
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.linalg import solve
from scipy.stats import binomtest, ttest_ind

from scmoe._align import in_one_order
from scmoe.arguments._checked import checks_arguments
from scmoe.explain._permutation import permutation_p
from scmoe.explain.concepts._cav import INVERSE_PENALTY, Array, fit_rotation, held_out_accuracy, normal, unit
from scmoe.explain.concepts._checks import check_sets

MIN_TARGET = 10
"""Cells of a target from which a p-value can be had."""
N_RANDOM = 20
N_PERMUTATIONS = 1999
CURVATURE = 1 / 8
"""p (1 - p) of cells that a regression tells apart fairly well; it would be 1 / 4 if it could not at all."""
DRAWN_AT_ONCE = 1 << 19
"""Random numbers drawn at once; bounds the memory of the permutations."""
COLUMNS = [
    "target",
    "n_concept",
    "n_pool",
    "n_random",
    "n_cells",
    "cav_accuracy",
    "cav_accuracy_p",
    "cav_cosine",
    "score",
    "score_sd",
    "derivative",
    "p",
    "p_ttest",
    "note",
]


class ConceptTest(NamedTuple):
    """What a test of one concept gives."""

    table: pd.DataFrame
    """See `concept_test`."""
    cav: Array
    """(F,) mean direction of the concept over the random sets, of length one."""


@checks_arguments
def concept_test(
    positives: NDArray[np.floating],
    pool: NDArray[np.floating],
    gradients: Mapping[str, NDArray[np.floating]],
    *,
    n_random: int = N_RANDOM,
    n_permutations: int = N_PERMUTATIONS,
    seed: int = 0,
) -> pd.DataFrame:
    r"""Test with concept activation vectors (TCAV) whether targets increase in the direction of a concept.

    A direction :math:`v_i` (unit length) is learned for the concept against each of `n_random` random sets of the
    pool. The directional derivative of target k in cell c is :math:`S_{kci} = g_{kc} \cdot v_i`, and the TCAV score
    the share of the target's cells in which it is positive (Kim et al. 2018, equations 1 and 2).

    Parameters
    ----------
    positives
        Activations of the cells of the concept in one layer, (n_p, F).
    pool
        Activations of cells that random sets are drawn from, (n_q, F), at least as many as positives. Random sets
        have the size of the concept, or half of the pool's where that is less, and are disjoint if the pool is large
        enough.
    gradients
        Of each target, its gradient with respect to the layer in some of its cells, (n_k, F). Where these and the
        activations are frames, their columns are matched by name.
    n_random
        Random sets.
    n_permutations
        Permutations behind ``p``.
    seed
        Of everything random.

    Returns
    -------
    A frame with a row for each target and the columns

    - ``target``, ``n_concept``, ``n_pool``, ``n_random``, ``n_cells`` (of the target);
    - ``cav_accuracy``: share of held-out cells on the right side;
    - ``cav_accuracy_p``: chance of as many by guessing (one-sided binomial test; cells of one random set, for all
      sets share the concept's cells);
    - ``cav_cosine``: mean cosine of two directions; 1 if the random set does not matter;
    - ``score`` and ``score_sd``: mean and standard deviation of the TCAV score over random sets;
    - ``derivative``: mean directional derivative over the mean length of the gradient, between -1 and 1;
    - ``p`` and ``p_ttest``, see the notes;
    - ``note``: the derivatives themselves where the target has fewer than 10 cells. These are too few for a p-value,
      and both are then 1.

    Raises
    ------
    ValueError
        Fewer than 30 positives, a smaller pool, arrays that do not fit each other, values that are not finite, or a
        target whose gradients are zero or the same in all its cells.

    Notes
    -----
    ``p`` comes from permuting the concept's label among positives and pool. Its statistic is the size of
    ``derivative`` along :math:`(c X^T X + 1)^{-1} (\bar{x}_P - \bar{x})` for centered activations X, a Newton step of
    the regression with a constant curvature c. Its direction is close to that of the regression (cosine 0.8 to 1 on
    real data), and thousands of refits cost no more than one. Directions have length one, so the question is not
    whether the concept's cells differ from others, but whether what sets them apart is what the target depends on,
    more than directions of chance are. The score would be no good statistic: where gradients hardly differ between
    cells, it is 0 or 1 for nearly any direction.

    ``p_ttest`` is that of the TCAV paper, a two-sided t-test of the scores against those of one random set against
    another. It takes scores that share cells for independent and is far too small at times: given for comparison, not
    for decisions. It is 1 where it is not defined.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> pool = rng.normal(size=(200, 3))
    >>> positives = rng.normal(size=(60, 3)) + [2, 0, 0]  # the concept is the first direction
    >>> gradients = {"B": rng.normal(size=(20, 3)) + [9, 0, 0]}  # which the target follows
    >>> table = scmoe.explain.concept_test(positives, pool, gradients, n_permutations=99)
    >>> table["score"].tolist()
    [1.0]
    """
    sets = {"positives": positives, "pool": pool, **{f"gradients[{name!r}]": each for name, each in gradients.items()}}
    positives, pool, *arrays = map(np.asarray, in_one_order(sets, "features", axis=1))
    gradients = dict(zip(gradients, arrays, strict=True))
    result = run_test(positives, pool, gradients, n_random=n_random, n_permutations=n_permutations, seed=seed)
    return result.table


def run_test(
    positives: NDArray[np.floating],
    pool: NDArray[np.floating],
    gradients: Mapping[str, NDArray[np.floating]],
    *,
    n_random: int,
    n_permutations: int,
    seed: int,
) -> ConceptTest:
    """`concept_test`, and the direction."""
    check_sets(positives, pool, gradients, n_random, n_permutations)
    rotation = fit_rotation(np.concatenate([positives, pool]))
    p, q = rotation(positives), rotation(pool)
    sets = draw_sets(p, q, n_random, seed)
    cavs = np.stack([normal(concept, random) for concept, random in sets])
    # Each random set against the next: as many directions of nothing as there are of the concept.
    null = np.stack([normal(sets[i - 1][1], sets[i][1]) for i in range(n_random)])
    common = {"n_concept": len(p), "n_pool": len(q), "n_random": n_random, **reliability(sets, cavs, seed)}
    rotated = {name: np.asarray(gradient, np.float64) @ rotation.axes for name, gradient in gradients.items()}
    lengths = {name: float(np.linalg.norm(gradient, axis=1).mean()) for name, gradient in gradients.items()}
    mean_gradients = np.stack([rotated[name].mean(axis=0) / lengths[name] for name in gradients])
    chance = permutation_p(permuted_effects(p, q, mean_gradients, n_permutations, seed))
    rows = [
        {"target": name, **common, **scores(rotated[name], cavs, null, lengths[name]), "p": p_value}
        for name, p_value in zip(gradients, chance, strict=True)
    ]
    return ConceptTest(pd.DataFrame(map(without_test_if_rare, rows))[COLUMNS], rotation.axes @ unit(cavs.mean(axis=0)))


def set_size(positives: Array, pool: Array) -> int:
    """Cells of a random set: as many as the concept has, or half of the pool, so that sets differ."""
    return min(len(positives), len(pool) // 2)


def draw_sets(positives: Array, pool: Array, n_random: int, seed: int) -> list[tuple[Array, Array]]:
    """Pairs of equally many cells of the concept and of the pool; the latter disjoint if the pool is large enough."""
    rng = np.random.default_rng(seed)
    size = set_size(positives, pool)
    order = rng.permutation(len(pool))
    disjoint = n_random * size <= len(pool)
    random = [
        order[i * size : (i + 1) * size] if disjoint else rng.permutation(len(pool))[:size] for i in range(n_random)
    ]
    return [(positives[rng.permutation(len(positives))[:size]], pool[cells]) for cells in random]


def reliability(sets: list[tuple[Array, Array]], cavs: Array, seed: int) -> dict[str, float]:
    """How well the concept can be told from random sets, and how much its direction depends on them."""
    held_out = [held_out_accuracy(concept, random, seed) for concept, random in sets]
    accuracy, (_, n_cells), n = float(np.mean([share for share, _ in held_out])), held_out[0], len(sets)
    return {
        "cav_accuracy": accuracy,
        "cav_accuracy_p": float(binomtest(round(accuracy * n_cells), n_cells, alternative="greater").pvalue),
        "cav_cosine": float(((cavs @ cavs.T).sum() - n) / (n * (n - 1))),
    }


def scores(gradient: Array, cavs: Array, null: Array, length: float) -> dict[str, float | str]:
    """What directional derivatives say about one target."""
    derivative = gradient @ cavs.T
    share = (derivative > 0).mean(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # scores without variance, which the next line deals with
        p_ttest = float(ttest_ind(share, (gradient @ null.T > 0).mean(axis=0)).pvalue)
    return {
        "n_cells": len(gradient),
        "score": float(share.mean()),
        "score_sd": float(share.std(ddof=1)),
        "derivative": float(derivative.mean() / length),
        "p_ttest": 1.0 if np.isnan(p_ttest) else p_ttest,
        "note": derivative_note(derivative.mean(axis=1) / length),
    }


def derivative_note(derivatives: Array) -> str:
    """Derivatives of a target's cells, (n,), as text."""
    return ", ".join(f"{value:.3g}" for value in derivatives)


def without_test_if_rare(row: dict[str, Any]) -> dict[str, Any]:
    """Few cells of a target: their derivatives in place of p-values."""
    if row["n_cells"] >= MIN_TARGET:
        return {**row, "note": ""}
    note = f"{row['n_cells']} cells are too few for a p-value; derivatives {row['note']}"
    return {**row, "p": 1.0, "p_ttest": 1.0, "note": note}


def effect(positives: NDArray[np.floating], pool: NDArray[np.floating], gradient: NDArray[np.floating]) -> float:
    """The statistic behind ``p`` of `concept_test` for one target, from the inner products of the few cells."""
    x, is_positive = np.concatenate([positives, pool]), np.arange(len(positives) + len(pool)) < len(positives)
    x = x - x.mean(axis=0)
    # To a root mean square distance of one, which the penalty is meant for.
    x /= np.sqrt(np.square(x).sum() / len(x))
    gram = (x @ x.T).astype(np.float64)
    # With c = C p(1 - p), (c XᵀX + 1)⁻¹ Xᵀy is in the direction of Xᵀ(XXᵀ + 1 / c)⁻¹ y.
    ridge = np.eye(len(x)) / (INVERSE_PENALTY * CURVATURE)
    weight = solve(gram + ridge, is_positive.astype(np.float64), assume_a="pos")
    along = weight @ (x @ gradient.mean(axis=0)) / np.sqrt(weight @ gram @ weight)
    return float(abs(along) / np.linalg.norm(gradient, axis=1).mean())


def permuted_effects(positives: Array, pool: Array, mean_gradients: Array, n_permutations: int, seed: int) -> Array:
    """Size of the derivatives along the concept's direction, and along those of permuted labels.

    Parameters
    ----------
    positives, pool
        Rotated activations, (n_p, K) and (n_q, K), centered together.
    mean_gradients
        Mean gradient of each target over their mean length, (T, K).
    n_permutations, seed
        See `concept_test`.

    Returns
    -------
    (1 + n_permutations, T), the observed values first.
    """
    x, n = np.concatenate([positives, pool]), len(positives)
    x = x - x.mean(axis=0)
    # Components are uncorrelated, so the Hessian is diagonal. Its weight is that of a regression on one random set.
    x /= 1 + INVERSE_PENALTY * CURVATURE * 2 * set_size(positives, pool) * np.square(x).mean(axis=0)
    rng = np.random.default_rng(seed)
    directions = [x[:n].sum(axis=0, keepdims=True)]
    for start in range(0, n_permutations, step := max(DRAWN_AT_ONCE // len(x), 1)):
        keys = rng.random((min(step, n_permutations - start), len(x)), dtype=np.float32)
        directions.append(x[keys.argpartition(n, axis=1)[:, :n]].sum(axis=1))
    return np.abs(unit(np.concatenate(directions)) @ mean_gradients.T)
