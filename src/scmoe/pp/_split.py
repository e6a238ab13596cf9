"""Training, validation and test cells that share no cell, no copy of a cell and, where asked for, no donor."""

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from scmoe._check import check_free
from scmoe._keys import COPY_OF, COUNTS_LAYER, PARTS, SPLIT, UNKNOWN_LABEL, UNS_ROOT, check_name
from scmoe._log import logger
from scmoe._matrix import check_array
from scmoe.arguments._checked import checks_arguments
from scmoe.datasets._cells import all_obs, check_cells, column_of, labels_of, modalities_of, origins
from scmoe.datasets._parts import record_split
from scmoe.pp._allot import allot_groups, allot_labels

FRACTIONS = (0.6, 0.2, 0.2)


@checks_arguments
def split(
    data: AnnData | MuData,
    *,
    labels_key: str | None = None,
    group_key: str | None = None,
    fractions: Sequence[float] = FRACTIONS,
    seed: int = 0,
    key_added: str = SPLIT,
) -> None:
    """Divide cells into training, validation and test cells, before anything is learned from them or resampled.

    With `group_key` whole groups are divided, at random. Otherwise the cells of each label are, by the largest
    remainder: a label's numbers are within one cell of its shares. Cells with the same values in all modalities (the
    same counts, where there are some) count as one cell measured once. They stay in one part, and so do groups that
    share such cells.

    Parameters
    ----------
    data
        AnnData or MuData, before any resampling.
    labels_key
        Column of ``obs`` whose labels all parts should hold. Cells without a label, or called ``"Unknown"``, count as
        a label of their own here. With `group_key`, labels are only looked at: those that training lacks are reported.
    group_key
        Column of ``obs`` with donors, samples or slices, none of which may be in two parts.
    fractions
        Shares of training, validation and test, which sum to 1: of the cells, or, with `group_key`, of the groups.
        One of the last two may be 0, and both.
    seed
        Of the division.
    key_added
        Name of the column.

    Returns
    -------
    None
        Writes ``obs[key_added]``, a categorical column of ``"train"``, ``"validation"`` and ``"test"``, and with
        `group_key` its name to ``uns["scmoe"]["split"][key_added]["group_key"]``, by which `scmoe.tl.train` checks that
        no group is in two parts. Train on it with ``scmoe.tl.train(mdata, split_key="split")``. The log has the sizes,
        the labels that training lacks, and the cells that repeat others. A label with a single cell, or a single set
        of cells with the same values, is in training only; the log says so too.

    Raises
    ------
    TypeError
        `data` is neither an AnnData nor a MuData, or a column is not named by text.
    KeyError
        There is no such column.
    ValueError
        `key_added` names a column of something else, a cell has no group, there are fewer groups than parts, a part
        would be empty, the fractions are impossible, the data are a view, or hold copies that `scmoe.pp.oversample` or
        `scmoe.pp.augment` made: their originals would be in other parts.

    Examples
    --------
    >>> import scmoe
    >>> mdata = scmoe.datasets.bmmc_cite()
    >>> scmoe.pp.split(mdata, labels_key="cell_type")
    >>> train = mdata[mdata.obs["split"] == "train"].copy()
    """
    shares = _check_fractions(fractions)
    check_cells(data)
    if data.is_view:
        raise ValueError("The data are a view of others. Call .copy() first, then split the copy.")
    check_name(key_added, "key_added")
    if key_added in (labels_key, group_key):
        raise ValueError(f"key_added={key_added!r} would replace the column that is read. Choose another name.")
    _check_column(data, key_added)
    if group_key is not None:
        check_free(data, UNS_ROOT, SPLIT)
    _refuse_copies(data)
    labels = None if labels_key is None else labels_of(data, labels_key)
    groups = None if group_key is None else column_of(data, group_key, "group_key")
    rows = row_codes(data)
    rng = np.random.default_rng(seed)
    if groups is None:
        classes = np.zeros(data.n_obs, dtype=int) if labels is None else pd.factorize(labels, sort=True)[0]
        part = allot_labels(rows, classes, shares, rng)
    else:
        part = allot_groups(joined(pd.factorize(groups, sort=True)[0], rows), shares, rng, str(group_key))
    sizes = np.bincount(part, minlength=len(PARTS))
    if (empty := np.flatnonzero((shares > 0) & (sizes == 0))).size:
        raise ValueError(
            f"No cell would be in {PARTS[empty[0]]} ({shares[empty[0]]:g} of {data.n_obs} cells). Raise its share in "
            "fractions=, set it to 0, or use more cells."
        )
    data.obs[key_added] = pd.Categorical.from_codes(part, categories=list(PARTS))
    record_split(data, key_added, group_key)
    _report(data, part, rows, labels)


def _check_fractions(fractions: Sequence[float]) -> NDArray[np.float64]:
    if isinstance(fractions, pd.Series):
        raise TypeError(f"fractions must be a list, of {', '.join(PARTS)}, such as {FRACTIONS}; found a Series.")
    shares = np.asarray(fractions, dtype=np.float64)
    if shares.shape != (3,) or not (shares >= 0).all() or abs(shares.sum() - 1) > 1e-6 or shares[0] == 0:
        raise ValueError(
            f"fractions must be three shares that sum to 1, of {', '.join(PARTS)}, the first above 0; found "
            f"{list(fractions)}. For example {FRACTIONS}."
        )
    return shares


def _check_column(data: AnnData | MuData, key: str) -> None:
    """Raise if a column is there that is no earlier division."""
    if key not in data.obs:
        return
    others = data.obs[key].dropna()[~data.obs[key].dropna().isin(PARTS)]
    if len(others):
        raise ValueError(
            f"obs[{key!r}] is there already and is no division of cells: it holds {others.iloc[0]!r}. Choose another "
            "key_added, or remove the column."
        )


def _refuse_copies(data: AnnData | MuData) -> None:
    sources = origins(all_obs(data))
    copies = sources != data.obs_names.astype(object)
    if copies.any():
        cell = int(copies.argmax())
        raise ValueError(
            f"{int(copies.sum())} cells come from others (obs[{COPY_OF!r}]), the first is {data.obs_names[cell]!r} "
            f"from {sources[cell]!r}. Split first and resample the training part, or leave these "
            f"cells out: data[data.obs[{COPY_OF!r}] == data.obs_names].copy()."
        )


def row_codes(data: AnnData | MuData) -> NDArray[np.integer]:
    """The same number for cells with the same modalities and the same values in them (counts if there are some)."""
    hashes = [blake2b(digest_size=16) for _ in range(data.n_obs)]
    for name, adata in modalities_of(data).items():
        where = COUNTS_LAYER in adata.layers
        matrix = adata.layers[COUNTS_LAYER] if where else adata.X
        check_array(matrix, name, f"layers['{COUNTS_LAYER}']" if where else "X")
        matrix = sparse.csr_matrix(matrix, copy=True)
        matrix.sum_duplicates()
        matrix.eliminate_zeros()
        for row, cell in enumerate(data.obs_names.get_indexer(adata.obs_names)):
            stored = slice(matrix.indptr[row], matrix.indptr[row + 1])
            for part in (name.encode(), matrix.indices[stored], matrix.data[stored]):
                hashes[cell].update(part)
    return pd.factorize(pd.Series([entry.digest() for entry in hashes]))[0]


def joined(*codes: NDArray[np.integer]) -> NDArray[np.integer]:
    """Sets of cells that are linked by having a code in common, directly or through others."""
    n_cells, cells = len(codes[0]), np.arange(len(codes[0]))
    starts = np.cumsum([n_cells, *(code.max() + 1 for code in codes)])
    ends = np.concatenate([code + start for code, start in zip(codes, starts[:-1], strict=True)])
    links = sparse.coo_matrix((np.ones(len(ends)), (np.tile(cells, len(codes)), ends)), shape=(starts[-1], starts[-1]))
    return pd.factorize(connected_components(links, directed=False)[1][:n_cells])[0]


def _report(
    data: AnnData | MuData, part: NDArray[np.integer], rows: NDArray[np.integer], labels: pd.Series | None
) -> None:
    sizes = zip(PARTS, np.bincount(part, minlength=len(PARTS)), strict=True)
    logger.info("split: %s cells", ", ".join(f"{name} {n}" for name, n in sizes))
    first = pd.Series(np.arange(len(rows))).groupby(rows).transform("first").to_numpy()
    repeated = np.flatnonzero(first != np.arange(len(rows)))
    if repeated.size:
        pair = data.obs_names[[repeated[0], first[repeated[0]]]].tolist()
        logger.warning(
            "split: %d cells have the values of another cell, the first is %r, like %r; such cells stay in one part",
            *(len(repeated), *pair),
        )
    if labels is None:
        return
    by_part = pd.crosstab(labels.to_numpy(), part).reindex(columns=range(len(PARTS)), fill_value=0)
    single = by_part.index[by_part.sum(axis=1) == 1]
    if len(single):
        logger.info("split: %d labels with a single cell: %s", len(single), ", ".join(single))
    unseen = by_part.index[(by_part[0] == 0) & (by_part.index != UNKNOWN_LABEL)]
    if len(unseen):
        logger.warning("split: training has no cell of %s; a model cannot learn these labels", ", ".join(unseen))
