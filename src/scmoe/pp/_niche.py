"""The niche modality: what the spatial neighbors of a cell express."""

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData
from scipy import sparse

from scmoe._check import check_mdata, features_of, missing_modality
from scmoe._keys import MADE_BY_NICHE, PREPARE, SPATIAL, UNS_ROOT, check_name
from scmoe._log import logger
from scmoe._matrix import NOT_LOADED, Matrix, check_array
from scmoe.arguments._checked import checks_arguments
from scmoe.datasets._anndata import takes_anndata
from scmoe.io._quiet import quiet_mudata
from scmoe.io._uns import to_uns
from scmoe.pp._records import prepare_records
from scmoe.pp._spatial import batches_of, coordinates_of, weights_within


@checks_arguments
@takes_anndata
def niche(
    mdata: MuData,
    *,
    modality: str = "rna",
    spatial_key: str = SPATIAL,
    n_neighbors: int = 15,
    batch_key: str | None = None,
    include_self: bool = False,
    key_added: str | None = None,
) -> None:
    r"""Add what the spatial neighbors of each cell express as a modality of its own.

    The niche of cell i is the weighted mean of the prepared values x of its neighbors N(i), as in the niche modality of
    UnitedNet :cite:p:`tang2023` and scMoE :cite:p:`yun2024scmoe`:

    .. math:: \bar x_i = \frac{\sum_{j \in N(i)} w_{ij} x_j}{\sum_{j \in N(i)} w_{ij}},
        \qquad w_{ij} = \exp\left(-\frac{d_{ij}^2}{2 (h_i / 2)^2}\right)

    where :math:`d_{ij}` is the distance and :math:`h_i` that of the `n_neighbors`-th nearest cell, whose weight is
    therefore :math:`e^{-2} = 0.14`. Cells exactly as far as that one are neighbors too: on a grid no direction is
    preferred, and the order of the cells does not matter.

    The modality is one for `scmoe.tl.train` like any other. Its cells are those that have `modality`. Cells without it
    have no niche and are nobody's neighbors.

    Parameters
    ----------
    mdata
        Prepared data (see `scmoe.pp.prepare`).
    modality
        Whose values are averaged.
    spatial_key
        Coordinates, 2 or 3 columns in any unit: ``mdata.mod[modality].obsm[spatial_key]``, or, where that is not there,
        ``mdata.obsm[spatial_key]``.
    n_neighbors
        Nearest cells that count, without the cell itself.
    batch_key
        Column of ``mdata.obs`` with the slice, sample or field of view: neighbors are looked for within it only.
        Needed when there are several, for their coordinates have nothing to do with each other.
    include_self
        Whether the cell itself counts, with a weight of 1 before the division, beside its neighbors.
    key_added
        Name of the new modality; ``"{modality}_niche"`` by default.

    Returns
    -------
    None
        Writes ``mdata.mod[key_added]``: ``X`` (cells of `modality` x its features, float32; CSR if that of `modality`
        is sparse) and ``obsm[spatial_key]``; what the MuData keeps of each modality (``obsm[key_added]``, ``obsmap``,
        ``varmap``, rows of ``var``, NaN in columns of your own); and ``mdata.uns["scmoe"]["prepare"][key_added]``, a
        record as of `scmoe.pp.prepare`, with the kind ``"continuous"`` if `modality` has it and ``"lognormalized"``
        otherwise.

    Raises
    ------
    TypeError
        `mdata` is not a MuData, or `n_neighbors` is not a whole number.
    KeyError
        There is no such modality, no coordinates, or no such column.
    ValueError
        `modality` is not prepared or has infinite values; coordinates are missing, not finite, not of 2 or 3 columns,
        or the same for all cells of a batch; a batch has no more than `n_neighbors` cells; a cell has no batch; the
        name is taken or cannot be stored; the MuData is backed or a view. On any error `mdata` is unchanged.

    Notes
    -----
    Features keep their names, so each occurs in two modalities, and ``mdata[:, names]`` no longer selects any: choose
    features before, or in one modality.

    A cell's niche holds values of other cells. When cells are split at random, neighbors of a test cell are training
    cells. A model that sees the niche has then seen the test cell's surroundings, or, in the niche of a training cell,
    the test cell itself. Scores are too good, above all those of predicting `modality` from the niche. Leave out whole
    slices or regions.

    Examples
    --------
    >>> import scmoe
    >>> mdata = scmoe.datasets.simulate_spatial(n_slices=2)
    >>> scmoe.pp.prepare(mdata)
    >>> scmoe.pp.niche(mdata, batch_key="slice")
    >>> mdata["rna_niche"].shape
    (1200, 200)
    """
    if modality not in check_mdata(mdata):
        raise missing_modality(modality, "The MuData", features_of(mdata))
    name = f"{modality}_niche" if key_added is None else key_added
    _check_target(mdata, name)
    kind = _prepared_kind(mdata, modality)
    adata = mdata.mod[modality]
    spatial = coordinates_of(mdata, modality, spatial_key)
    weights = weights_within(spatial, batches_of(mdata, modality, batch_key), n_neighbors, include_self)
    values = _means(weights, adata.X).astype(np.float32)
    averages = AnnData(
        values.tocsr() if sparse.issparse(values) else values,
        obs=pd.DataFrame(index=adata.obs_names),
        var=pd.DataFrame(index=adata.var_names),
        obsm={spatial_key: spatial},
    )
    step = f"Gaussian mean of {n_neighbors} spatial neighbors" + (" and the cell itself" if include_self else "")
    record = {
        "kind": "continuous" if kind == "continuous" else "lognormalized",
        "reason": f"{MADE_BY_NICHE} from {modality}, which is {kind}",
        "steps": [step + (f" within {batch_key}" if batch_key else "")],
        "source": f"X of {modality}",
        "n_cells": averages.n_obs,
        "n_features": averages.n_vars,
    }
    _add(mdata, name, averages)
    root = mdata.uns[UNS_ROOT]
    mdata.uns[UNS_ROOT] = {**root, PREPARE: {**root[PREPARE], name: to_uns(record)}}
    logger.info("%s: %s", name, record["steps"][0])


def _means(weights: sparse.csr_matrix, values: Matrix) -> Matrix:
    """Weighted means of the neighbors in which a value was measured; NaN where it was in none."""
    if sparse.issparse(values) or not np.isnan(values).any():
        return weights @ values
    seen = ~np.isnan(values)
    weight = weights @ seen.astype(np.float64)
    return np.divide(weights @ np.where(seen, values, 0), weight, out=np.full(weight.shape, np.nan), where=weight > 0)


def _check_target(mdata: MuData, name: str) -> None:
    if mdata.isbacked:
        raise ValueError(f"The MuData is backed by a file. {NOT_LOADED}")
    if mdata.is_view:
        raise ValueError("The MuData is a view of another one. Call mdata = mdata.copy() first.")
    if not name or "." in name or "/" in name:
        raise ValueError(f"key_added must be a name without '.' and '/'; found {name!r}.")
    check_name(name, "key_added")
    if name in mdata.mod:
        raise ValueError(
            f"mdata has the modality {name!r} already. Choose another key_added, or remove it: del mdata.mod[{name!r}]."
        )
    for part in ("obsm", "varm"):
        arrays = getattr(mdata, part)
        if name in arrays and not _is_mask(np.asarray(arrays[name])):
            raise ValueError(
                f"mdata.{part} has {name!r}, which a modality of this name would replace. Choose another key_added."
            )


def _is_mask(array: np.ndarray) -> bool:
    """Mudata keeps the mask of a modality after its removal; anything else is the user's."""
    return array.dtype == bool and array.size == len(array)


def _add(mdata: MuData, name: str, adata: AnnData) -> None:
    """Add a modality, whose features are new and whose cells are not.

    `MuData.update` cannot keep whole numbers in ``obsm`` and ``varm``.
    """
    arrays = {key: value for key, value in mdata.obsm.items() if key not in (*mdata.mod, name)}
    for key, value in mdata.varm.items():
        if key not in mdata.mod and isinstance(value, np.ndarray) and value.dtype.kind in "iu":
            mdata.varm[key] = value.astype(np.float64)
    with quiet_mudata():
        for key in arrays:
            del mdata.obsm[key]
        mdata.mod[name] = adata
        mdata.update()
        for key, value in arrays.items():
            mdata.obsm[key] = value


def _prepared_kind(mdata: MuData, modality: str) -> str:
    """What a modality was prepared as; an error if it was not, or has values that cannot be averaged."""
    record = prepare_records(mdata)
    if modality not in record:
        raise ValueError(f"mdata[{modality!r}] is not prepared. Run scmoe.pp.prepare(mdata) first.")
    adata = mdata.mod[modality]
    check_array(adata.X, modality, "X")
    values = adata.X.data if sparse.issparse(adata.X) else adata.X
    if np.isinf(values).any() or (sparse.issparse(adata.X) and np.isnan(values).any()):
        raise ValueError(
            f"mdata[{modality!r}].X has infinite values (or missing ones, as a sparse matrix), which have no mean. "
            "Fill them, or choose another modality."
        )
    return str(record[modality]["kind"])
