"""Section: whether batches are mixed in the embedding."""

import numpy as np
from mudata import MuData

from scmoe._keys import Keys
from scmoe.metrics._mixing import knn_mixing
from scmoe.pl.page._section import Section, Table, number

POOR = 0.5
"""Mixing below this is called poor: less than half the neighbors of other batches that random cells would have."""
MAX_CELLS = 5000
MIN_CELLS = 30
"""Of a cluster, and at least two batches with a tenth of it, for a row of its own."""
MIN_SHARE = 0.1


def batches_section(mdata: MuData, keys: Keys, batch_key: str | None, seed: int = 0) -> Section | None:
    """Shares of neighbors from other batches, over all cells and within clusters; None without batches.

    Parameters
    ----------
    mdata, keys
        The data, and where their results are.
    batch_key
        Column with batches.
    seed
        Of the choice of cells, of more than 5,000.
    """
    if batch_key not in mdata.obs or keys.embedding not in mdata.obsm:
        return None
    batch = mdata.obs[batch_key].astype(str).to_numpy()
    points = np.asarray(mdata.obsm[keys.embedding])
    usable = np.flatnonzero(np.isfinite(points).all(1) & mdata.obs[batch_key].notna().to_numpy())
    cells = np.random.default_rng(seed).permutation(usable)[:MAX_CELLS]
    if len(np.unique(batch[cells])) < 2:
        return None
    overall = knn_mixing(points[cells], batch[cells])
    rows = [("all cells", str(len(cells)), number(overall))]
    if keys.cluster in mdata.obs:
        cluster = mdata.obs[keys.cluster].astype(str).to_numpy()[cells]
        for name in _by_size(cluster):
            own = cells[cluster == name]
            shares = np.unique(batch[own], return_counts=True)[1] / len(own)
            if len(own) >= MIN_CELLS and (shares >= MIN_SHARE).sum() > 1:
                rows.append((f"cluster {name}", str(len(own)), number(knn_mixing(points[own], batch[own]))))
    sentence = (
        f"Of 15 neighbors in the embedding, {number(overall)} times as many come from other batches (column "
        f"{batch_key}) as of random cells; 1 is perfect mixing. Batches with other cell types cannot and should not "
        "reach it: the rows of clusters are fairer."
    )
    poor = [row[0].removeprefix("cluster ") for row in rows[1:] if float(row[2]) < POOR]
    warnings = []
    if poor:
        warnings.append(
            f"Batches are poorly mixed in {'cluster' if len(poor) == 1 else 'clusters'} {', '.join(poor)} (mixing "
            f"below {POOR}): compare batches there with care."
        )
    table = Table(caption="Mixing of batches.", columns=("among", "cells", "mixing"), rows=rows)
    return Section(name="batches", title="Batches", sentences=[sentence], warnings=warnings, tables=[table])


def _by_size(groups: np.ndarray) -> list[str]:
    names, sizes = np.unique(groups, return_counts=True)
    return [str(name) for name in names[np.argsort(-sizes, kind="stable")]]
