"""Data of the replication: cells that have a label and every modality, prepared and stored once for all methods."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from mudata import MuData

from scmoe._check import check_mdata, layer_names
from scmoe._log import logger
from scmoe.benchmark._cells import known_labels, label_texts, subset
from scmoe.data._setup import prepared_kinds
from scmoe.datasets._bundled import bmmc_cite
from scmoe.datasets._read import read
from scmoe.datasets._write import write
from scmoe.datasets.grn._cells import simulate_grn
from scmoe.io._files import check_writable
from scmoe.pp._prepare import prepare
from scmoe.studies._data import BUNDLED, content_hash

GRN = "grn"
LABEL = "group"
"""Column of the stored data with the true groups."""
N_FOLDS = 5
MIN_FOLD = 10
"""Test cells of a fold."""
GRN_LABELS, BUNDLED_LABELS = "stage", "cell_type"


@dataclass(frozen=True, kw_only=True)
class Source:
    """Data that methods are run on.

    Parameters
    ----------
    name
        For tables.
    path
        Of the stored, prepared cells.
    seeds
        Seeds that are run on them.
    content
        Hash of values and labels.
    kinds
        Kind of each modality, in order (see `scmoe.pp.prepare`).
    n_cells, n_left_out
        Cells used, and those without a label or a modality.
    n_labels
        Number of different labels.
    """

    name: str
    path: str
    seeds: tuple[int, ...]
    content: str
    kinds: dict[str, str]
    n_cells: int
    n_left_out: int
    n_labels: int


def make_sources(
    folder: Path, data: Sequence[str | Path], labels: Sequence[str], seeds: Sequence[int], real_seeds: Sequence[int]
) -> list[Source]:
    """Simulate, read, prepare and store all data; one source a seed of the simulation."""
    if len(data) != len(labels):
        raise ValueError(
            f"Every file needs a column with its labels; found {len(data)} file(s) and {len(labels)} column(s). "
            "Give --data and --labels equally often, in the same order."
        )
    check_writable(folder)
    return list(_sources(folder, data, labels, seeds, real_seeds))


def _sources(
    folder: Path, data: Sequence[str | Path], labels: Sequence[str], seeds: Sequence[int], real_seeds: Sequence[int]
) -> Iterator[Source]:
    paths = [Path(path).expanduser().resolve() for path in data]
    names = [GRN, BUNDLED, *(path.stem for path in paths)]
    if repeated := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"Two data sets are called {repeated[0]!r}. Rename the file.")
    # All files are read before the simulation, so that a wrong column is reported at once.
    data_sets = []
    for path, column in zip(paths, labels, strict=True):
        mdata = read(path)
        data_sets.append((path.stem, complete_cells(mdata, column, path.stem), mdata.n_obs))
    for seed in seeds:
        logger.info("Simulating %s, seed %d", GRN, seed)
        mdata = simulate_grn(seed=seed)
        cells = complete_cells(mdata, GRN_LABELS, GRN)
        yield _store(cells, GRN, folder / f"{GRN}-seed{seed}.h5mu", mdata.n_obs, (seed,))
    bundled = bmmc_cite()
    data_sets.insert(0, (BUNDLED, complete_cells(bundled, BUNDLED_LABELS, BUNDLED), bundled.n_obs))
    for name, cells, n_cells in data_sets:
        yield _store(cells, name, folder / f"{name}.h5mu", n_cells, tuple(real_seeds))


def complete_cells(mdata: MuData, labels: str, name: str) -> MuData:
    """The cells with a label and all modalities, each modality in the same order, prepared."""
    modalities = check_mdata(mdata)
    if len(modalities) < 2:
        raise ValueError(f"{name} has one modality only, {modalities[0]!r}; a combination needs at least two.")
    if labels not in mdata.obs:
        columns = ", ".join(map(str, mdata.obs)) or "none"
        raise KeyError(f"{labels!r} is not a column of mdata.obs of {name}; found {columns}.")
    known = known_labels(mdata, labels)
    assert known is not None
    cells = mdata.obs_names[known.notna().to_numpy()]
    for adata in mdata.mod.values():
        cells = cells[cells.isin(adata.obs_names)]
    if len(cells) < N_FOLDS * MIN_FOLD:
        raise ValueError(
            f"{N_FOLDS} folds need at least {N_FOLDS * MIN_FOLD} cells with a label and every modality; {name} has "
            f"{len(cells)}. Leave out the modality that most cells lack, or take other data."
        )
    n_labels = known[cells].nunique()
    if not 2 <= n_labels <= len(cells) // 2:
        raise ValueError(
            f"{labels!r} of {name} must have from 2 to {len(cells) // 2} different values; found {n_labels}. "
            "Choose a column with groups of cells."
        )
    out = subset(mdata, cells, modalities, obs=False)
    out.obs[LABEL] = pd.Categorical(known[out.obs_names])
    prepare(out)
    return out


def _store(mdata: MuData, name: str, path: Path, n_cells: int, seeds: tuple[int, ...]) -> Source:
    write(mdata, path)
    return Source(
        name=name,
        path=str(path),
        seeds=seeds,
        content=hash_of(mdata),
        kinds=prepared_kinds(mdata, list(mdata.mod)),
        n_cells=mdata.n_obs,
        n_left_out=n_cells - mdata.n_obs,
        n_labels=int(mdata.obs[LABEL].nunique()),
    )


def hash_of(mdata: MuData) -> str:
    """Hash of values, names and labels, whatever the file they came from."""
    matrices: list[Any] = []
    texts = [*mdata.obs_names, *label_texts(mdata.obs[LABEL])]
    for name, adata in mdata.mod.items():
        texts += [name, *adata.var_names]
        matrices += [adata.X, *(adata.layers[layer] for layer in layer_names(adata))]
    return content_hash(matrices, texts)
