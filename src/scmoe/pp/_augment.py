"""New cells of rare types, made from the counts of real ones."""

from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData
from numpy.typing import NDArray
from scipy import sparse

from scmoe._keys import COPY_OF, COUNTS_LAYER, MIXED_WITH
from scmoe._log import logger
from scmoe._matrix import Matrix, check_array, check_counts
from scmoe.arguments._checked import checks_arguments
from scmoe.datasets._cells import ONLY, Data, all_obs, assemble, modalities_of, origins
from scmoe.pp._classes import check_threshold, draw_more, names_of_new, trainable_labels
from scmoe.pp._kind import COUNT_KINDS, decide_kind
from scmoe.pp._normalize import clr, log_normalize
from scmoe.pp._records import missing_table, read_by_models

SHARES = (0.5, 1.0)
"""Between which the share of the first parent's molecules that a new cell keeps is drawn."""
NO_PARTNER = -1
N_LOOKED_AT = 100
"""Cells that show how ``X`` was made from the counts."""
ROUNDING = 1e-4


class _Parents(NamedTuple):
    """Of each new cell: positions of the cells that it is made from, and the share of the first."""

    first: NDArray[np.integer]
    second: NDArray[np.integer]
    share: NDArray[np.float64]


@checks_arguments
def augment(
    data: Data,
    labels_key: str,
    *,
    method: Literal["thin", "mix"] = "thin",
    threshold: int | None = None,
    seed: int = 0,
) -> Data:
    r"""Add new cells of rare types, made from raw counts, until each type has as many as the largest, or `threshold`.

    A new cell's counts, with a share p drawn between 0.5 and 1 for all its modalities together, are

    .. math:: x' \sim \mathrm{Binomial}(x_i, p) \quad (\text{thin}), \qquad
        x' \sim \mathrm{Binomial}(x_i, p) + \mathrm{Binomial}(x_j, 1 - p) \quad (\text{mix})

    with i a random cell of the type and j another one that has the same modalities. Thinning is what a shallower
    measurement of the cell would have found. Mixing also fills in between cells. Both give whole counts. A cell
    without a partner is thinned.

    Only for training cells, like `scmoe.pp.oversample`. New cells are made from real ones alone, not from each other,
    and nothing is fitted. So their number has no bound. The log says how many types have more new cells than real
    ones.

    Parameters
    ----------
    data
        AnnData or MuData with the training cells only, raw counts in ``X`` or ``layers["counts"]``; not changed.
        Cells called ``"Unknown"`` are kept, once each.
    labels_key
        Column of ``obs`` with the types.
    method
        How new cells are made.
    threshold
        Cells that each type should have; types with more are left as they are. None: those of the largest type.
    seed
        Of everything random.

    Returns
    -------
    AnnData or MuData
        All cells, and after them the new ones, named after their first parent with ``-new1``, ``-new2`` ...
        ``obs["copy_of"]`` holds the name of the first parent, and for a real cell its own. With ``"mix"``,
        ``obs["mixed_with"]`` holds the name of the second. Other columns of a new cell are those of the first parent.
        New cells have the modalities with counts only. Where `scmoe.pp.prepare` made ``X``, that of new cells is made
        in the same way. Other layers, ``obsm`` and what depends on pairs of cells are left out: they were computed
        without the new cells.

    Raises
    ------
    TypeError
        `data` is neither an AnnData nor a MuData, or `threshold` is not a whole number.
    KeyError
        There is no such column.
    ValueError
        ``obs["split"]`` says that cells of more than one part are here, a cell has no label, there is a single type,
        `threshold` is larger than the largest type or below 1, `method` is unknown, no modality has raw counts, or
        ``X`` was made from the counts by something else than `scmoe.pp.prepare`.

    Examples
    --------
    >>> import scmoe
    >>> mdata = scmoe.datasets.bmmc_cite()
    >>> more = scmoe.pp.augment(mdata, "cell_type", method="mix", threshold=20)
    >>> int(more.obs["cell_type"].value_counts().min())
    20
    """
    labels, sizes = trainable_labels(data, labels_key)
    target = check_threshold(threshold, sizes, default=int(sizes.iloc[0]))
    counts = _all_counts(data)
    rng = np.random.default_rng(seed)
    first = draw_more(labels, sizes, target, seed)
    second = np.full(len(first), NO_PARTNER)
    if method == "mix":
        second = partners(first, labels.to_numpy(), _presence(data), rng)
    parents = _Parents(first, second, rng.uniform(*SHARES, size=len(first)))
    new = names_of_new(data, first, "new")
    parts = {}
    missing = missing_table(data)
    for name, adata in modalities_of(data).items():
        matrix = _new_counts(data, adata, counts.get(name), parents, rng)
        parts[name] = _extended(name, adata, matrix, data.obs_names[first], new, missing)
    cells = np.concatenate([np.arange(data.n_obs), first])
    out = assemble(data, parts, cells, data.obs_names.append(new))
    sources = origins(all_obs(data))
    out.obs[COPY_OF] = sources[cells]
    if method == "mix":
        other = np.where(second == NO_PARTNER, first, second)
        out.obs[MIXED_WITH] = sources[np.concatenate([np.arange(data.n_obs), other])]
    _report(sizes, target, labels.iloc[first[second == NO_PARTNER]] if method == "mix" else None)
    return out


def partners(
    first: NDArray[np.integer], labels: NDArray[Any], presence: NDArray[np.bool_], rng: np.random.Generator
) -> NDArray[np.integer]:
    """For each cell at `first` another random cell of its label and modalities; `NO_PARTNER` if there is none."""
    kind = pd.factorize(pd.MultiIndex.from_arrays([labels, *presence.T]))[0]
    members = {code: np.flatnonzero(kind == code) for code in np.unique(kind[first])}
    second = np.full(len(first), NO_PARTNER)
    for place, cell in enumerate(first):
        others = members[kind[cell]]
        if len(others) > 1:
            # Drawn among one fewer; from the cell's own place on, the next one is meant.
            choice = rng.integers(len(others) - 1)
            second[place] = others[choice + (others[choice] >= cell)]
    return second


def thinned(counts: Matrix, share: NDArray[np.float64], rng: np.random.Generator) -> Matrix:
    """Binomial draws from counts (cells x features), with the `share` of each cell; dense or CSR as given."""
    if not sparse.issparse(counts):
        return _drawn(counts, share[:, None], rng)
    out = counts.copy()
    out.data = _drawn(out.data, np.repeat(share, np.diff(out.indptr)), rng)
    out.eliminate_zeros()
    return out


def _drawn(counts: NDArray[np.number], share: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.number]:
    """Binomial draws; what was not measured (NaN) stays so."""
    gaps = np.isnan(counts)
    drawn = rng.binomial(np.where(gaps, 0, counts).astype(np.int64), share).astype(counts.dtype)
    return np.where(gaps, counts, drawn) if gaps.any() else drawn


def _presence(data: AnnData | MuData) -> NDArray[np.bool_]:
    """Which cell has which modality, (n_cells, modalities)."""
    return np.stack([data.obs_names.isin(adata.obs_names) for adata in modalities_of(data).values()], axis=1)


def _all_counts(data: AnnData | MuData) -> dict[str, Matrix]:
    """Raw counts of the modalities that have some, dense or CSR."""
    counts = {}
    for name, adata in modalities_of(data).items():
        has_layer = COUNTS_LAYER in adata.layers
        where, matrix = (f"layers['{COUNTS_LAYER}']", adata.layers[COUNTS_LAYER]) if has_layer else ("X", adata.X)
        check_array(matrix, name, where)
        if has_layer or name == ONLY or decide_kind(name, adata, matrix).kind in COUNT_KINDS:
            check_counts(matrix, name, where, adata.obs_names, adata.var_names, allow_missing=True)
            counts[name] = sparse.csr_matrix(matrix) if sparse.issparse(matrix) else np.asarray(matrix)
    if not counts:
        raise ValueError(
            f"New cells are made from raw counts, and none of {', '.join(data.mod)} has some. Put them into "
            f"layers[{COUNTS_LAYER!r}] of a modality."
        )
    return counts


def _new_counts(
    data: AnnData | MuData, adata: AnnData, counts: Matrix | None, parents: _Parents, rng: np.random.Generator
) -> Matrix | None:
    """Counts of the new cells that have this modality."""
    if counts is None:
        return None
    row = adata.obs_names.get_indexer(data.obs_names)
    here = row[parents.first] >= 0
    first, second, share = row[parents.first[here]], parents.second[here], parents.share[here]
    new_counts = thinned(counts[first], share, rng)
    mixed = second != NO_PARTNER
    if not mixed.any():
        return new_counts
    # Where there is no partner, none of the first cell's molecules is added again.
    return new_counts + thinned(counts[np.where(mixed, row[second], first)], np.where(mixed, 1 - share, 0.0), rng)


def _extended(
    name: str, adata: AnnData, counts: Matrix | None, first: pd.Index, new: pd.Index, missing: pd.DataFrame | None
) -> AnnData:
    """The modality with rows for the new cells, without what was computed from the former cells."""
    layers = {key: value for key, value in adata.layers.items() if key == COUNTS_LAYER}
    if counts is None:
        return AnnData(adata.X.copy(), obs=adata.obs.copy(), var=adata.var.copy(), uns=dict(adata.uns))
    here = first.isin(adata.obs_names)
    parents = adata.obs_names.get_indexer(first[here])
    values = _values(name, adata, counts, parents, missing) if layers else counts
    obs = pd.concat([adata.obs, adata.obs.loc[first[here]].set_axis(new[here])])
    return AnnData(
        _stacked(adata.X, values),
        obs=obs,
        var=adata.var.copy(),
        uns=dict(adata.uns),
        layers={key: _stacked(value, counts) for key, value in layers.items()},
    )


def _values(
    name: str, adata: AnnData, new: Matrix, parents: NDArray[np.integer], missing: pd.DataFrame | None
) -> Matrix:
    """``X`` of new cells, beside counts in a layer; the first cells show how it was made.

    Parameters
    ----------
    name, adata
        The modality.
    new
        Counts of the new cells.
    parents
        Row of the first parent of each, which a new cell shares the gaps of.
    missing
        The table of what was not measured, or None.
    """
    few = adata[:N_LOOKED_AT]
    counts, values = few.layers[COUNTS_LAYER], _dense(few.X)
    gaps = np.isnan(_dense(adata.X[parents])) if np.isnan(values).any() else None
    for over in _normalized_over(name, adata, missing):
        for function in (lambda matrix, _: matrix, log_normalize, clr):
            known = np.where(np.isnan(values), np.nan, _dense(counts)) if gaps is not None else counts
            if np.allclose(_dense(function(known, over)), values, atol=ROUNDING, equal_nan=True):
                return function(new if gaps is None else np.where(gaps, np.nan, _dense(new)), over)
    raise ValueError(
        f"mdata[{name!r}].X was not made from layers[{COUNTS_LAYER!r}] by scmoe.pp.prepare, so that of new cells is "
        "not known. Put the raw counts into X, augment, and normalize after that."
    )


def _normalized_over(name: str, adata: AnnData, missing: pd.DataFrame | None) -> list[NDArray[np.bool_]]:
    """Features that totals and means of `scmoe.pp.prepare` may range over."""
    used = read_by_models(adata)
    if missing is None:
        return [used]
    absent = missing["feature"][missing["modality"].astype(str) == name].astype(str)
    return [used, used & ~adata.var_names.astype(str).isin(absent)]


def _stacked(old: Matrix, new: Matrix) -> Matrix:
    return sparse.vstack([old, new], format="csr") if sparse.issparse(old) else np.concatenate([old, _dense(new)])


def _dense(matrix: Matrix) -> NDArray[np.floating]:
    return matrix.toarray() if sparse.issparse(matrix) else np.asarray(matrix)


def _report(sizes: pd.Series, target: int, alone: pd.Series | None) -> None:
    new = target - sizes[sizes < target]
    outnumbered = int((new > sizes[new.index]).sum())
    logger.info(
        "augment: %d new cells of %d types, up to %d cells a type; %d types have more new cells than real ones",
        *(new.sum(), len(new), target, outnumbered),
    )
    if alone is not None and len(alone):
        names = ", ".join(sorted(alone.unique()))
        logger.info("augment: %d cells without another to mix with are thinned instead: %s", len(alone), names)
