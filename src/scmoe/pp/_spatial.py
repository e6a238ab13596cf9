"""Coordinates of cells and the weights of their neighbors."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from mudata import MuData
from numpy.typing import NDArray
from scipy import sparse
from scipy.spatial import cKDTree

from scmoe._matrix import MAX_VALUE, is_beyond

EDGE = 2.0
"""Distance of the last neighbor in standard deviations of the Gaussian weights."""
ROUNDING = 1 + 1e-6
"""Distances whose ratio is below are equal, as those on a grid are."""
CHUNK = 20_000
"""Cells whose neighbors are held as Python lists at a time."""


def coordinates_of(mdata: MuData, modality: str, spatial_key: str) -> NDArray[np.float64]:
    """Coordinates of the cells of a modality, checked."""
    adata = mdata.mod[modality]
    own = spatial_key in adata.obsm
    # A MuData keeps in obsm, under the name of each modality, which cells it has.
    keys = [*adata.obsm, *(key for key in mdata.obsm if key not in mdata.mod)]
    if not own and spatial_key not in mdata.obsm:
        raise KeyError(
            f"There are no coordinates: neither mdata[{modality!r}].obsm nor mdata.obsm has {spatial_key!r}; found "
            f"{', '.join(keys) or 'none'}. Name theirs in spatial_key=."
        )
    place = f"mdata[{modality!r}].obsm[{spatial_key!r}]" if own else f"mdata.obsm[{spatial_key!r}]"
    values = (adata if own else mdata).obsm[spatial_key]
    is_numbers = isinstance(values, pd.DataFrame) and all(map(pd.api.types.is_numeric_dtype, values.dtypes))
    matrix = values.to_numpy(np.float64, na_value=np.nan) if is_numbers else np.asarray(values)
    if matrix.ndim != 2 or matrix.shape[1] not in (2, 3) or matrix.dtype.kind not in "iuf":
        raise ValueError(
            f"{place} must hold numbers in 2 or 3 columns; found {matrix.dtype} of shape {matrix.shape}. Keep the "
            "coordinates only."
        )
    spatial = matrix if own else matrix[mdata.obs_names.get_indexer(adata.obs_names)]
    wrong = (np.isnan(spatial) | is_beyond(spatial)).any(axis=1)
    if wrong.any():
        raise ValueError(
            f"{place} must hold finite numbers, up to {MAX_VALUE:g}; {int(wrong.sum())} cells have others, the first "
            f"is {adata.obs_names[int(wrong.argmax())]!r} with {spatial[wrong.argmax()].tolist()}. Remove these cells."
        )
    return spatial.astype(np.float64)


def batches_of(mdata: MuData, modality: str, batch_key: str | None) -> dict[str, NDArray[np.integer]]:
    """Positions of the modality's cells by batch, under what messages call the batch."""
    cells = mdata.mod[modality].obs_names
    if batch_key is None:
        return {f"mdata[{modality!r}]": np.arange(len(cells))}
    if batch_key not in mdata.obs:
        columns = ", ".join(map(str, mdata.obs)) or "none"
        raise KeyError(f"batch_key={batch_key!r} is not a column of mdata.obs; found {columns}.")
    column = mdata.obs[batch_key].loc[cells]
    if column.isna().any():
        cell = cells[int(column.isna().argmax())]
        raise ValueError(f"mdata.obs[{batch_key!r}] must have a value for every cell; cell {cell!r} has none.")
    column = column.astype(str)
    return {f"{batch_key} {batch!r}": np.flatnonzero(column == batch) for batch in column.unique()}


def weights_within(
    spatial: NDArray[np.floating], batches: Mapping[str, NDArray[np.integer]], n_neighbors: int, include_self: bool
) -> sparse.csr_matrix:
    """Weights within batches, cells x cells."""
    for batch, cells in batches.items():
        if len(cells) <= n_neighbors:
            raise ValueError(
                f"n_neighbors={n_neighbors} needs more than {n_neighbors} cells in {batch}; found {len(cells)}. Lower "
                "n_neighbors, or remove these cells."
            )
        if (spatial[cells] == spatial[cells[0]]).all():
            raise ValueError(
                f"All {len(cells)} cells in {batch} have the same coordinates. Check where these come from."
            )
    parts = [neighbor_weights(spatial[cells], n_neighbors, include_self) for cells in batches.values()]
    position = np.empty(len(spatial), dtype=np.int64)
    position[np.concatenate(list(batches.values()))] = np.arange(len(spatial))
    return sparse.block_diag(parts, format="csr")[position][:, position]


def neighbor_weights(spatial: NDArray[np.floating], n_neighbors: int, include_self: bool) -> sparse.csr_matrix:
    """Weights of the spatial neighbors, n x n, float32; each row sums to one.

    Parameters
    ----------
    spatial
        Finite coordinates (n, 2 or 3) of more than `n_neighbors` cells.
    n_neighbors, include_self
        See `scmoe.pp.niche`.
    """
    tree = cKDTree(spatial)
    # The cell is among its own nearest, so the last of these is the n-th neighbor, even if others share its place.
    last = tree.query(spatial, [n_neighbors + 1])[0][:, 0]
    blocks = []
    for start in range(0, len(spatial), CHUNK):
        rows = np.arange(start, min(start + CHUNK, len(spatial)))
        neighbors = tree.query_ball_point(spatial[rows], last[rows] * ROUNDING, return_sorted=True)
        row = np.repeat(rows, [len(entry) for entry in neighbors])
        column = np.concatenate(neighbors).astype(np.int64)
        if not include_self:
            row, column = row[row != column], column[row != column]
        distance = np.linalg.norm(spatial[row] - spatial[column], axis=1)
        scale = np.where(last > 0, last, 1.0)[row] / EDGE
        weight = np.exp(-0.5 * (distance / scale) ** 2)
        weight /= np.bincount(row, weight, minlength=len(spatial))[row]
        shape = (len(rows), len(spatial))
        blocks.append(sparse.csr_matrix((weight.astype(np.float32), (row - start, column)), shape))
    return sparse.vstack(blocks, format="csr")
