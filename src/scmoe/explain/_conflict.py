"""Whether gradients agree: cosines with a reference."""

from collections.abc import Sequence
from itertools import combinations, product

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scmoe.arguments._checked import checks_arguments

MIN_NORM = 1e-12
"""Shorter gradients have no direction."""
INTERVAL = (0.025, 0.975)
"""Of the batches that lie between ``low`` and ``high``."""


@checks_arguments
def conflict_table(
    gram: NDArray[np.floating], reference: NDArray[np.floating], names: Sequence[str], definition: str
) -> pd.DataFrame:
    r"""Average the agreement of gradients over batches, beside that of random groups of cells.

    For gradients :math:`g_a, g_b` on all experts of a layer, the cosine is :math:`g_a \cdot g_b / (|g_a| |g_b|)` and
    the magnitude similarity :math:`2 |g_a| |g_b| / (|g_a|^2 + |g_b|^2)`. An expert that only one of them reaches adds
    nothing to the inner product but lengthens that gradient, so the routing alone pulls cosines on sparse experts to
    0. Hence the cosine by expert, over the experts that both reach, and the share of these experts. After the scMoE
    paper, Figure 1b.

    Parameters
    ----------
    gram
        Inner products of the gradients on each expert, ``(n_batches, layers, experts, K, K)``.
    reference
        The same of the gradients of random groups of cells, ``(n_batches, layers, experts, G, G)``, in the same
        batches.
    names
        The K modalities or tasks.
    definition
        What the gradients belong to; for the column of that name.

    Returns
    -------
    A tidy frame with a row for each layer and pair, and the columns

    - ``layer``, ``definition``, ``first``, ``second``;
    - ``cosine``, mean over the batches, with ``low`` and ``high``, between which 95 % of the batches lie;
    - ``reference``, ``reference_low`` and ``reference_high``: the same of the random groups;
    - ``conflict_rate`` and ``reference_rate``: shares of cosines below 0;
    - ``magnitude_similarity``;
    - ``expert_cosine``: mean over batches and the experts that both reach (NaN if there is none);
    - ``coactivation``: share of the experts that both reach;
    - ``n_batches``: batches in which both have a gradient.

    Pairs that never have one are left out, such as the router's losses in the last layer, whose experts they do not
    reach.

    Raises
    ------
    ValueError
        If the shapes do not fit each other or the names, or fewer than two of the names have gradients.

    Examples
    --------
    >>> gradient = np.array([[1.0, 0.0], [0.0, 1.0]])  # of two modalities, at right angles
    >>> gram = (gradient @ gradient.T)[None, None, None]  # 1 batch, 1 layer, 1 expert
    >>> scmoe.explain.conflict_table(gram, gram, ["rna", "adt"], "target")["cosine"].tolist()
    [0.0]
    """
    K = len(names)
    if gram.ndim != 5 or gram.shape[3:] != (K, K):
        raise ValueError(
            f"gram must be batches x layers x experts x {K} x {K} for {list(names)}; found the shape {gram.shape}."
        )
    if reference.ndim != 5 or reference.shape[:3] != gram.shape[:3]:
        raise ValueError(f"reference must have the batches, layers and experts of gram; found {reference.shape}.")
    cosine, by_chance, on_expert = cosines(gram.sum(2)), pairs_of(cosines(reference.sum(2))), cosines(gram)
    rows = []
    for layer, (a, b) in product(range(gram.shape[1]), combinations(range(K), 2)):
        values, chance = cosine[:, layer, a, b], by_chance[:, layer]
        finite, chance = np.isfinite(values), chance[np.isfinite(chance)]
        if not finite.any():
            continue
        by_expert = on_expert[finite, layer, :, a, b]
        both = np.isfinite(by_expert)
        rows.append(
            {"layer": layer, "definition": definition, "first": names[a], "second": names[b]}
            | _summary("cosine", "", values[finite])
            | _summary("reference", "reference_", chance)
            | {
                "conflict_rate": float((values[finite] < 0).mean()),
                "reference_rate": float((chance < 0).mean()),
                "magnitude_similarity": float(magnitude_similarity(gram[finite, layer].sum(1), a, b).mean()),
                "expert_cosine": float(by_expert[both].mean()) if both.any() else np.nan,
                "coactivation": float(both.mean()),
                "n_batches": int(finite.sum()),
            }
        )
    if not rows:
        raise ValueError(f"No two of {list(names)} have gradients on the experts, so there is nothing to compare.")
    return pd.DataFrame(rows)


def cosines(gram: NDArray[np.floating]) -> NDArray[np.float64]:
    """Cosines (..., K, K) of gradients with these inner products; NaN where one has no direction."""
    norm = norms(gram)
    has_direction = (norm > MIN_NORM)[..., :, None] & (norm > MIN_NORM)[..., None, :]
    return np.divide(
        gram, norm[..., :, None] * norm[..., None, :], out=np.full(gram.shape, np.nan), where=has_direction
    )


def norms(gram: NDArray[np.floating]) -> NDArray[np.float64]:
    """Norms (..., K)."""
    return np.sqrt(np.diagonal(gram, axis1=-2, axis2=-1))


def pairs_of(matrices: NDArray[np.floating]) -> NDArray[np.floating]:
    """The entries (..., pairs) above the diagonal of matrices (..., K, K)."""
    first, second = np.triu_indices(matrices.shape[-1], k=1)
    return matrices[..., first, second]


def magnitude_similarity(gram: NDArray[np.floating], a: int, b: int) -> NDArray[np.float64]:
    """Magnitude similarity (...) of two of the gradients, which have a direction; 1: equally long."""
    norm = norms(gram)
    x, y = norm[..., a], norm[..., b]
    return 2 * x * y / (x**2 + y**2)


def _summary(name: str, prefix: str, values: NDArray[np.floating]) -> dict[str, float]:
    low, high = np.quantile(values, INTERVAL)
    return {name: float(values.mean()), f"{prefix}low": float(low), f"{prefix}high": float(high)}
