"""Data of the studies: a user's file or the bundled cells, the cells with a label, and what identifies them."""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from mudata import MuData
from scipy import sparse

from scmoe.benchmark._cells import known_labels, subset
from scmoe.datasets._bundled import bmmc_cite
from scmoe.datasets._read import read

BUNDLED = "bmmc_cite"


def load_data(data: str | Path | None) -> MuData:
    """The user's file, or the bundled cells."""
    return bmmc_cite() if data is None else read(data)


def data_name(data: str | Path | None) -> str:
    """Of a file, for the settings of a result."""
    return BUNDLED if data is None else Path(data).name


def check_columns(mdata: MuData, *columns: str | None) -> None:
    """Raise a KeyError if a column that is named is not in ``mdata.obs``."""
    for column in columns:
        if column is not None and column not in mdata.obs:
            raise KeyError(
                f"{column!r} is not a column of mdata.obs; found {', '.join(map(str, mdata.obs)) or 'none'}."
            )


def labeled_cells(mdata: MuData, labels: str) -> MuData:
    """The cells that have a label."""
    known = known_labels(mdata, labels)
    assert known is not None
    return subset(mdata, mdata.obs_names[known.notna()], list(mdata.mod))


def content_hash(matrices: Iterable[Any], texts: Iterable[str]) -> str:
    """Hash of values and names, whatever the file they came from."""
    digest = hashlib.sha256("\n".join(texts).encode())
    for matrix in matrices:
        csr = sparse.csr_matrix(matrix) if sparse.issparse(matrix) else None
        for array in (np.asarray(matrix),) if csr is None else (csr.data, csr.indices, csr.indptr):
            digest.update(array.tobytes())
    return digest.hexdigest()
