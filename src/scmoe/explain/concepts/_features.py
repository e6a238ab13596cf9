"""Concepts made by altering cells: what if only these features were the cell's own?

Other features come from another, random cell. Setting them to their mean, or hiding them, would not do: the two sets
of cells would differ by what is absent. The direction between them would be that of an absence, far from all real
cells, and no evidence. Here both sets hold as much of the target's own as of other cells' values, each value is one
that occurs, and what differs is which features speak for the target.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData
from numpy.typing import NDArray
from scipy import sparse

from scmoe._keys import UNS_ROOT
from scmoe._log import logger
from scmoe._matrix import Matrix
from scmoe.data._covariates import names_or_missing
from scmoe.data._setup import Setup, values_of
from scmoe.explain.concepts._cells import MAX_CONCEPT, Mask, Sets, View, cells_with, raw_counts
from scmoe.explain.concepts._checks import MIN_CONCEPT
from scmoe.io._quiet import quiet_mudata

BAND = 20
"""Width of a band of missing rates, in percent."""
MIN_GENES = 10
"""Genes that make a band."""

Features = Mapping[str, Mask]
"""Of each modality, which of its features; those of other modalities are not meant."""


@dataclass(frozen=True, kw_only=True)
class FeatureConcept:
    """Some features speak for the target rather than others.

    The concept's cells are cells of the target in which only `keep` is their own. Cells of the pool are cells of the
    target in which only `rival` is. All else comes from random cells of the same batch. The target needs `MIN_CONCEPT`
    cells that have all modalities.

    Parameters
    ----------
    name, kind
        See `scmoe.explain.concepts._cells.Concept`.
    keep, rival
        Features.
    """

    name: str
    kind: str
    keep: Features
    rival: Features
    by_target: bool = field(default=True, init=False)

    def sets(self, view: View, target: Mask, rng: np.random.Generator) -> Sets:
        """See `scmoe.explain.concepts._cells.Concept`."""
        complete = complete_cells(view.mdata, view.setup)
        own = rng.permutation(np.flatnonzero(complete & target))
        n = min(max(len(own) // 2, MIN_CONCEPT), MAX_CONCEPT)
        # From the two ends: no cell is in both sets unless there are too few.
        parts = (own[:n], self.keep), (own[::-1][: min(max(len(own) - n, n), view.n_pool * n)], self.rival)
        batch = batches_of(view.mdata, view.setup)
        activations = [
            view.encode(mix(view.mdata, view.setup, cells, random_partners(cells, complete, batch, rng), features))
            for cells, features in parts
        ]
        return Sets(*activations)


def complete_cells(mdata: MuData, setup: Setup) -> Mask:
    """Which cells have all modalities of the model."""
    return np.logical_and.reduce([cells_with(mdata, name) for name in setup.modalities])


def batches_of(mdata: MuData, setup: Setup) -> NDArray[np.intp]:
    """Batch of every cell as a number."""
    if setup.batch_key is None:
        return np.zeros(mdata.n_obs, dtype=np.intp)
    return pd.factorize(names_or_missing(mdata, setup.batch_key), use_na_sentinel=False)[0]


def random_partners(
    cells: NDArray[np.intp], complete: Mask, batch: NDArray[np.intp], rng: np.random.Generator
) -> NDArray[np.intp]:
    """For each cell a random one of its batch: the model takes out the batch effect of the cell's own batch."""
    partners = np.empty_like(cells)
    for b in np.unique(batch[cells]):
        in_batch = batch[cells] == b
        partners[in_batch] = rng.choice(np.flatnonzero(complete & (batch == b)), in_batch.sum())
    return partners


def mix(mdata: MuData, setup: Setup, cells: NDArray[np.intp], others: NDArray[np.intp], keep: Features) -> MuData:
    """Cells whose features are their own in `keep`, and those of the other cells elsewhere."""
    names = mdata.obs_names[cells]
    adatas = {}
    for modality in setup.modalities:
        adata, layer = mdata.mod[modality], setup.layers[modality]
        rows = adata.obs_names.get_indexer(mdata.obs_names)
        matrix = values_of(mdata, modality, layer)
        mask = keep.get(modality, np.zeros(adata.n_vars, dtype=bool))
        values = choose_columns(matrix[rows[cells]], matrix[rows[others]], mask)
        parts = {"X": values} if layer is None else {"layers": {layer: values}}
        adatas[modality] = AnnData(**parts, obs=pd.DataFrame(index=names), var=adata.var)
    with quiet_mudata():
        altered = MuData(adatas)
    altered.obs = mdata.obs.iloc[cells]
    altered.uns = {UNS_ROOT: mdata.uns[UNS_ROOT]} if UNS_ROOT in mdata.uns else {}
    return altered


def choose_columns(own: Matrix, other: Matrix, mask: Mask) -> Matrix:
    """Columns of one matrix where the mask is true, of the other elsewhere."""
    if not sparse.issparse(own):
        return np.where(mask, own, other)
    order = np.argsort(np.concatenate([np.flatnonzero(mask), np.flatnonzero(~mask)]))
    return sparse.hstack([own[:, mask], other[:, ~mask]], format="csr")[:, order]


def check_modalities(mdata: MuData, setup: Setup) -> None:
    """Raise unless the data have all modalities of the model."""
    if missing := [name for name in setup.modalities if name not in mdata.mod]:
        raise ValueError(
            f"Concepts of modalities and missing rates need all modalities of the model; the data lack {missing[0]!r}. "
            "Pass modalities=False, without missing_rate=."
        )


def modality_concepts(mdata: MuData, setup: Setup) -> list[FeatureConcept]:
    """Each modality against all others; of two, one is the mirror image of the other; of one, nothing."""
    check_modalities(mdata, setup)
    whole = {name: np.ones(mdata.mod[name].n_vars, dtype=bool) for name in setup.modalities}
    if len(whole) == 1:
        return []
    return [
        FeatureConcept(
            name=name, kind="modality", keep={name: mask}, rival={m: all_ for m, all_ in whole.items() if m != name}
        )
        for name, mask in whole.items()
    ]


def missing_rate_concepts(mdata: MuData, setup: Setup, modality: str, cells: Mask, seed: int) -> list[FeatureConcept]:
    """Genes that are zero in so many percent of the cells, against as many genes that are so in more or fewer of them.

    All bands get the same number of genes, that of the smallest, or the band with most genes would win.

    Parameters
    ----------
    mdata, setup
        The cells.
    modality
        One with raw counts, or with logarithms of them.
    cells
        (n_cells,) those that the rates are computed from.
    seed
        Of the draws of genes.

    Raises
    ------
    ValueError
        The modality has values below zero, or fewer than two bands have enough genes.
    """
    check_modalities(mdata, setup)
    if modality not in setup.modalities:
        raise ValueError(
            f"missing_rate={modality!r} is no modality of the model; it has {', '.join(setup.modalities)}."
        )
    band, usable, n = missing_rate_bands(mdata, setup, modality, cells)
    rng = np.random.default_rng(seed)

    def random_genes(mask: Mask) -> Features:
        return {modality: np.isin(np.arange(len(mask)), rng.choice(np.flatnonzero(mask), n, replace=False))}

    return [
        FeatureConcept(
            name=f"{modality} missing {BAND * (b - 1)}-{BAND * b} %",
            kind="missing rate",
            keep=random_genes(band == b),
            rival=random_genes(band != b),
        )
        for b in usable
    ]


def missing_rate_bands(
    mdata: MuData, setup: Setup, modality: str, cells: Mask
) -> tuple[NDArray[np.intp], NDArray[np.intp], int]:
    """Divide genes by the share of cells in which they are zero; for the arguments see `missing_rate_concepts`.

    Returns
    -------
    band
        Band of every gene, counted from 1.
    usable
        Bands with enough genes.
    n_genes
        Genes that each of these bands has, and all other bands together.
    """
    counts = raw_counts(mdata, setup, modality)
    if counts is None:  # logarithms of counts have the same zeros
        counts = values_of(mdata, modality, setup.layers[modality])
        if counts.min() < 0:
            raise ValueError(
                f"missing_rate={modality!r} needs values of which zeros say that nothing was found: raw counts in "
                f"mdata[{modality!r}].layers['counts'], or their logarithms. Found values below zero, down to "
                f"{counts.min():.3g}. Choose another modality."
            )
    names = mdata.obs_names[cells].intersection(mdata.mod[modality].obs_names)
    rows = counts[mdata.mod[modality].obs_names.get_indexer(names)]
    rate = 1 - np.asarray((rows != 0).sum(axis=0)).ravel() / len(names)
    band = np.maximum(np.ceil(100 * rate / BAND), 1).astype(int)
    bands, sizes = np.unique(band, return_counts=True)
    listing = ", ".join(f"{BAND * (b - 1)}-{BAND * b} %: {n}" for b, n in zip(bands, sizes, strict=True))
    usable = bands[sizes >= MIN_GENES]
    if len(usable) < 2:
        raise ValueError(
            f"Missing rates need at least two bands of {MIN_GENES} genes; mdata[{modality!r}] has {listing}. Use more "
            "genes."
        )
    n = min(int(sizes[sizes >= MIN_GENES].min()), *(int((band != b).sum()) for b in usable))
    logger.info("genes of %s by missing rate, %s; %d of each band with at least %d", modality, listing, n, MIN_GENES)
    return band, usable, n
