"""Cells drawn so that types are unequal by a known factor, and their total stays the same."""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData
from numpy.typing import NDArray

from scmoe._check import check_free
from scmoe._keys import IMBALANCE, UNKNOWN_LABEL, UNS_ROOT
from scmoe._log import logger
from scmoe.arguments._checked import checks_arguments
from scmoe.datasets._categories import Category, names_of
from scmoe.datasets._cells import Data, check_cells, class_sizes, labels_of, take
from scmoe.datasets._profile import largest_total, least_total, profile
from scmoe.io._uns import to_uns

RHOS = (1.0, 10.0, 50.0, 100.0)
"""The factors of a study, which all have to be possible with one total."""
MIN_CELLS = 5
N_NAMED = 5
"""Types that are left out and named in the log."""


@checks_arguments
def imbalance(
    data: Data,
    labels_key: str,
    rho: float,
    *,
    n_total: int | None = None,
    order: str | Sequence[Category] = "natural",
    min_cells: int = MIN_CELLS,
    seed: int = 0,
) -> Data:
    r"""Draw cells so that the most frequent type has `rho` times the cells of the rarest.

    The type of rank r of C, 1 for the most frequent, keeps

    .. math:: n_r = n_1 \rho^{-(r - 1) / (C - 1)}

    cells, rounded to whole cells whose sum is `n_total`. With the same data, `order` and `n_total`, the total is the
    same for every `rho`: the balance changes, the amount of data does not. With the same `seed` the draws are nested:
    of each type, the cells of the smaller draw are among those of the larger.

    Parameters
    ----------
    data
        AnnData or MuData. Draw from the training part only, if that is what should be unequal (see `scmoe.pp.split`).
    labels_key
        Column of ``obs`` with the types. Cells called ``"Unknown"`` are left out.
    rho
        Cells of the most frequent type over those of the rarest; 1: all types alike.
    n_total
        Cells in all; by default the largest number that `rho` and 1, 10, 50 and 100 can all have, see
        `scmoe.datasets.imbalance_total`.
    order
        Which types are frequent: ``"natural"``, as in the data; ``"random"``, by `seed`; or the types, the most
        frequent first. Types that are not named are left out.
    min_cells
        Cells that the rarest type must keep.
    seed
        Of the draws, and of a random order.

    Returns
    -------
    AnnData or MuData
        The cells drawn, in the order of `data`, which is not changed. ``uns["scmoe"]["imbalance"]`` holds ``rho``,
        ``n_total``, ``seed`` and ``types``: a frame of ``label``, ``rank``, ``available`` and ``n_cells``.

    Raises
    ------
    TypeError
        `data` is neither an AnnData nor a MuData.
    KeyError
        There is no such column, or `order` names a type that the data lack.
    ValueError
        A cell has no label, there are fewer than two types, a type has too few cells for its rank or falls under
        `min_cells`, or an argument is impossible. The message says which type, and how many cells it would need.

    Examples
    --------
    >>> import scmoe
    >>> mdata = scmoe.datasets.bmmc_cite()
    >>> types = ["CD14+ Mono", "CD4+ T naive", "NK", "Normoblast"]
    >>> few = scmoe.datasets.imbalance(mdata, "cell_type", rho=10, n_total=90, order=types)
    >>> few.obs["cell_type"].value_counts().tolist()
    [51, 23, 11, 5]
    """
    ranked, labels = _ranked(data, labels_key, order, seed)
    check_free(data, UNS_ROOT)
    if n_total is None:
        n_total = largest_total(ranked, {*RHOS, rho})
    counts = profile(len(ranked), rho, n_total)
    _check_counts(ranked, counts, rho, n_total, min_cells)
    rng = np.random.default_rng([seed, 1])  # apart from that of the order
    # In the order of names, so that a type's cells are shuffled alike whatever its rank.
    shuffles = {name: rng.permutation(np.flatnonzero(labels == name)) for name in sorted(ranked.index)}
    cells = np.concatenate([shuffles[name][:n] for name, n in zip(ranked.index, counts, strict=True)])
    out = take(data, np.sort(cells))
    types = pd.DataFrame(
        {"label": ranked.index, "rank": np.arange(len(counts)) + 1, "available": ranked.to_numpy(), "n_cells": counts}
    )
    record = {"rho": float(rho), "n_total": int(n_total), "seed": int(seed), "types": types}
    out.uns[UNS_ROOT] = {**out.uns.get(UNS_ROOT, {}), IMBALANCE: to_uns(record)}
    left_out = sorted(set(labels) - set(ranked.index))
    logger.info(
        "imbalance: %d of %d cells, from %d of %s to %d of %s%s",
        *(n_total, data.n_obs, counts[0], ranked.index[0], counts[-1], ranked.index[-1]),
        f"; left out: {', '.join(left_out[:N_NAMED])}{' ...' * (len(left_out) > N_NAMED)}" if left_out else "",
    )
    return out


@checks_arguments
def imbalance_total(
    data: AnnData | MuData,
    labels_key: str,
    rhos: Iterable[float] = RHOS,
    *,
    order: str | Sequence[Category] = "natural",
    seed: int = 0,
) -> int:
    """The largest number of cells that `scmoe.datasets.imbalance` can draw with each of several factors.

    A factor of 1 is limited by the rarest type, since no other may then have more cells. A large factor is limited by
    the types that come first in the order.

    Parameters
    ----------
    data, labels_key
        As in `scmoe.datasets.imbalance`.
    rhos
        The factors.
    order, seed
        As in `scmoe.datasets.imbalance`.

    Returns
    -------
    int
        To be passed as ``n_total``.

    Raises
    ------
    KeyError
        There is no such column, or `order` names a type that the data lack.
    ValueError
        A cell has no label, there are fewer than two types, or a factor is below 1.

    Examples
    --------
    >>> import scmoe
    >>> mdata = scmoe.datasets.bmmc_cite()
    >>> scmoe.datasets.imbalance_total(mdata, "cell_type", [1, 10], order=["NK", "Normoblast", "ILC"])
    21
    """
    ranked, _ = _ranked(data, labels_key, order, seed)
    factors = list(rhos)
    if not factors:
        raise ValueError("rhos must name at least one factor.")
    return largest_total(ranked, factors)


def _ranked(
    data: AnnData | MuData, labels_key: str, order: str | Sequence[Category], seed: int
) -> tuple[pd.Series, pd.Series]:
    """Cells of each type by rank, and the labels."""
    check_cells(data)
    labels = labels_of(data, labels_key)
    sizes = class_sizes(labels)
    if isinstance(order, str):
        if order not in ("natural", "random"):
            raise ValueError(f"order must be 'natural', 'random' or a list of types; found {order!r}.")
        names = list(sizes.index)
        names = list(np.random.default_rng(seed).permutation(names)) if order == "random" else names
    else:
        names = names_of(order)
        if missing := [name for name in names if name not in sizes]:
            raise KeyError(f"order names {missing[0]!r}; obs[{labels_key!r}] has {', '.join(sizes.index)}.")
        if len(set(names)) < len(names):
            raise ValueError(f"order must name each type once; found {names}.")
    if len(names) < 2:
        raise ValueError(f"Expected at least two types (not counting {UNKNOWN_LABEL!r}); found {names}.")
    return sizes[names], labels


def _check_counts(ranked: pd.Series, counts: NDArray[np.int64], rho: float, n_total: int, min_cells: int) -> None:
    """Refuse a profile that asks for more cells than a type has, or leaves one with fewer than `min_cells`."""
    at_most = largest_total(ranked, [rho])
    if counts[-1] >= min_cells and (counts <= ranked).all():
        return
    if counts[-1] >= min_cells:
        rank = int(np.argmax(counts > ranked.to_numpy()))
        raise ValueError(
            f"Type {ranked.index[rank]!r} has {ranked.iloc[rank]} cells and would need {counts[rank]} as number "
            f"{rank + 1} of {len(ranked)} (rho={rho:g}, n_total={n_total}). Pass n_total={at_most} or less, another "
            "order, or an order without this type."
        )
    least = least_total(len(ranked), rho, min_cells)
    text = (
        f"The rarest type, {ranked.index[-1]!r}, would keep {counts[-1]} cells, fewer than min_cells={min_cells} "
        f"(rho={rho:g}, {len(ranked)} types, n_total={n_total}); {least} cells in all would be needed. "
    )
    rank = int(np.argmax(profile(len(ranked), rho, least) / ranked.to_numpy()))
    if profile(len(ranked), rho, least)[rank] <= ranked.iloc[rank]:
        raise ValueError(text + f"Pass an n_total from {least} to {at_most}, which rho={rho:g} alone allows.")
    raise ValueError(
        text + f"Of these {profile(len(ranked), rho, least)[rank]} would be {ranked.index[rank]!r}, which has "
        f"{ranked.iloc[rank]}. Pass an order without this type or with it further down, or a smaller rho or min_cells."
    )
