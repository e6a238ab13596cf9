"""Whether cells that a network did not learn from are hubs of its embedding: everybody's neighbors."""

import numpy as np

from scmoe.metrics._hubs import HubRatio, hub_ratio

N_REFERENCE = 1000
"""Training cells whose place in the embedding a model keeps, for queries to be compared with."""
QUERY_SHARE = 0.25
"""Of the number of these: so many cells of a query are compared with them, for a group of most cells can be no hub."""
HIGH = 1.5
"""Hub ratio from which there is something to say."""
MIN_CELLS = 20
"""In the group: by chance, two in a hundred ratios of so many cells are above 1.5 (in noise, five)."""


def evenly(n_cells: int, n_sampled: int) -> np.ndarray:
    """Positions of at most so many cells, in equal steps."""
    return np.linspace(0, n_cells - 1, min(n_cells, n_sampled)).astype(int)


def hubs_among(reference: np.ndarray, others: np.ndarray, seed: int) -> HubRatio:
    """The hub ratio of other cells than those of the reference; NaN without any."""
    if not len(reference) or not len(others):
        return HubRatio(within=np.nan, outside=np.nan)
    is_other = np.repeat([False, True], [len(reference), len(others)])
    return hub_ratio(np.concatenate([reference, others]), is_other, seed=seed)


def query_hubs(reference: np.ndarray, query: np.ndarray, seed: int) -> HubRatio:
    """The hub ratio of the cells of a query, at most a quarter as many as there are training cells to compare with."""
    return hubs_among(reference, query[evenly(len(query), max(round(QUERY_SHARE * len(reference)), 1))], seed)


def validation_verdict(ratio: HubRatio, n_validation: int) -> list[str]:
    """What is wrong with the embedding of the validation cells, and what to do about it."""
    if n_validation < MIN_CELLS or max(ratio) <= HIGH:
        return []
    numbers = (
        f"({ratio.within:.1f} times as often as by chance neighbors of each other, and {ratio.outside:.1f} times of "
        "training cells)"
    )
    if ratio.outside > 1:
        return [
            f"Validation cells are hubs of the embedding {numbers}: neighbors say little of new cells. Lower "
            "n_programs, or train on more cells."
        ]
    return [
        f"Validation cells lie apart in the embedding {numbers}, and new cells may too. Name what sets them apart "
        "(batch_key), or lower n_programs."
    ]


def query_verdict(ratio: HubRatio, n_query: int) -> str:
    """What is wrong with the embedding of a query; nothing if its cells are each other's neighbors only."""
    if n_query < MIN_CELLS or not ratio.outside > HIGH:  # cells of another type or batch are above within only
        return ""
    return (
        f"its cells are hubs of the embedding ({ratio.outside:.1f} times as often as by chance neighbors of training "
        "cells): neighbors say little of them. Use labels that the model predicts (labels_key), or train one with a "
        "lower n_programs or on more cells"
    )
