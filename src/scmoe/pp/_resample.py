"""More cells of rare types, or fewer of frequent ones."""

import numpy as np
from imblearn.under_sampling import RandomUnderSampler

from scmoe._keys import COPY_OF
from scmoe._log import logger
from scmoe.arguments._checked import checks_arguments
from scmoe.datasets._cells import Data, all_obs, origins, take
from scmoe.pp._classes import check_threshold, draw_more, names_of_new, trainable_labels


@checks_arguments
def oversample(data: Data, labels_key: str, *, threshold: int | None = None, seed: int = 0) -> Data:
    """Copy random cells of rare types, with replacement, until each type has as many as the largest, or `threshold`.

    Only for training cells: a copy in another part than its original makes every score too good.

    Parameters
    ----------
    data
        AnnData or MuData with the training cells only; not changed. Cells called ``"Unknown"`` are kept, once each.
    labels_key
        Column of ``obs`` with the types.
    threshold
        Cells that each type should have; types with more are left as they are. None: those of the largest type.
    seed
        Of the draws.

    Returns
    -------
    AnnData or MuData
        All cells, and after them the copies, named after their originals with ``-copy1``, ``-copy2`` ... In
        ``obs["copy_of"]`` stands the original's name, for an original its own.

    Raises
    ------
    TypeError
        `data` is neither an AnnData nor a MuData, or `threshold` is not a whole number.
    KeyError
        There is no such column.
    ValueError
        ``obs["split"]`` says that cells of more than one part are here, a cell has no label, there is a single type,
        or `threshold` is larger than the largest type or below 1.

    Examples
    --------
    >>> import scmoe
    >>> mdata = scmoe.datasets.bmmc_cite()
    >>> scmoe.pp.split(mdata, labels_key="cell_type")
    >>> train = scmoe.pp.oversample(mdata[mdata.obs["split"] == "train"], "cell_type", threshold=10)
    >>> int(train.obs["cell_type"].value_counts().min())
    10
    """
    labels, sizes = trainable_labels(data, labels_key)
    target = check_threshold(threshold, sizes, default=int(sizes.iloc[0]))
    added = draw_more(labels, sizes, target, seed)
    cells = np.concatenate([np.arange(data.n_obs), added])
    out = take(data, cells, data.obs_names.append(names_of_new(data, added, "copy")))
    out.obs[COPY_OF] = origins(all_obs(data))[cells]
    n_raised = int((sizes < target).sum())
    logger.info("oversample: %d copies; %d of %d types raised to %d cells", len(added), n_raised, len(sizes), target)
    return out


@checks_arguments
def undersample(data: Data, labels_key: str, *, threshold: int | None = None, seed: int = 0) -> Data:
    """Keep a random choice of the cells of frequent types: as many as the smallest type has, or `threshold`.

    Parameters
    ----------
    data
        AnnData or MuData with the training cells only; not changed. Cells called ``"Unknown"`` are all kept.
    labels_key
        Column of ``obs`` with the types.
    threshold
        Cells that a type may have at most: min(n, `threshold`) are kept. None: as many as the smallest type has, which
        leaves little where a type has a handful of cells.
    seed
        Of the draws.

    Returns
    -------
    AnnData or MuData
        The cells kept, in their order.

    Raises
    ------
    TypeError
        `data` is neither an AnnData nor a MuData, or `threshold` is not a whole number.
    KeyError
        There is no such column.
    ValueError
        ``obs["split"]`` says that cells of more than one part are here, a cell has no label, there is a single type,
        or `threshold` is larger than the largest type or below 1.

    Examples
    --------
    >>> import scmoe
    >>> mdata = scmoe.datasets.bmmc_cite()
    >>> few = scmoe.pp.undersample(mdata, "cell_type", threshold=20)
    >>> int(few.obs["cell_type"].value_counts().max())
    20
    """
    labels, sizes = trainable_labels(data, labels_key)
    target = check_threshold(threshold, sizes, default=int(sizes.iloc[-1]))
    cells = np.arange(data.n_obs)
    if strategy := {name: target for name, n in sizes.items() if n > target}:
        sampler = RandomUnderSampler(sampling_strategy=strategy, random_state=seed)
        sampler.fit_resample(cells[:, None], labels)
        cells = np.sort(sampler.sample_indices_)
    logger.info(
        "undersample: %d of %d cells kept; %d of %d types cut to %d",
        *(len(cells), data.n_obs, len(strategy), len(sizes), target),
    )
    return take(data, cells)
