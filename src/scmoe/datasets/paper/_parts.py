"""Tables of one set of cells that lie in files of their own."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from anndata import AnnData, read_h5ad
from mudata import MuData

from scmoe.io._quiet import quiet_mudata


def files_of(path: str | os.PathLike[str], names: Sequence[str], what: str) -> list[Path]:
    """Files of a folder; a FileNotFoundError that says which are absent.

    Parameters
    ----------
    path
        The folder.
    names
        Of the files.
    what
        What the folder holds, for the message.
    """
    folder = Path(path).expanduser()
    absent = [name for name in names if not (folder / name).exists()]
    if absent:
        raise FileNotFoundError(
            f"Expected a folder with the files of {what}: {', '.join(names)}. {folder} lacks {', '.join(absent)}."
        )
    return [folder / name for name in names]


def read_part(path: Path, columns: Sequence[str]) -> AnnData:
    """One table of cells; a ValueError if its ``obs`` lacks columns."""
    adata = read_h5ad(path)
    if not {*columns} <= {*adata.obs}:
        found = ", ".join(map(str, adata.obs)) or "none"
        raise ValueError(f"{path.name} must have the columns {', '.join(columns)} in obs; found {found}.")
    return adata


def join(parts: Mapping[str, AnnData], columns: Mapping[str, str]) -> MuData:
    """Tables with the same cells in the same order as modalities.

    Parameters
    ----------
    parts
        Of each modality.
    columns
        Columns of ``obs`` that all of them have, to their names in the result.

    Raises
    ------
    ValueError
        The tables are not of the same cells: names or one of the columns differ.
    """
    names = list(parts)
    first = parts[names[0]]
    for name in names[1:]:
        other = parts[name]
        if other.n_obs != first.n_obs or not first.obs_names.equals(other.obs_names):
            raise ValueError(
                f"The cells of {name} ({other.n_obs}) are not those of {names[0]} ({first.n_obs}), or in another "
                "order. Take all files from one download."
            )
        for column in columns:
            differ = first.obs[column].astype(str).to_numpy() != other.obs[column].astype(str).to_numpy()
            if differ.any():
                raise ValueError(
                    f"{column!r} of cell {first.obs_names[int(np.argmax(differ))]!r} is another in {name} than in "
                    f"{names[0]}, so the rows are not of the same cells. Take all files from one download."
                )
    with quiet_mudata():
        mdata = MuData({name: AnnData(part.X, var=part.var[[]].copy()) for name, part in parts.items()})
        for name, part in parts.items():
            mdata.mod[name].obs_names = part.obs_names
        mdata.update()
    mdata.obs = first.obs[list(columns)].rename(columns=dict(columns))
    return mdata
