"""One reader for the files that single-cell tools leave behind."""

import os
import re
import warnings
from collections.abc import Callable
from pathlib import Path

import anndata
import mudata
from anndata import AnnData
from mudata import MuData

from scmoe._io import quiet_mudata
from scmoe._log import logger

FEATURE_TYPES = {
    "gene expression": "rna",
    "gex": "rna",
    "antibody capture": "adt",
    "adt": "adt",
    "peaks": "atac",
    "atac": "atac",
}
"""Names of the modalities by the ``feature_types`` that 10x Genomics and NeurIPS 2021 files hold."""


def read(path: str | os.PathLike[str], *, modality: str = "rna") -> MuData:
    """Read a file of single-cell data into a MuData.

    Parameters
    ----------
    path
        ``.h5mu``, ``.zarr`` (a MuData), ``.h5ad``, or ``.h5`` as written by Cell Ranger. Features of several types in
        one ``.h5ad`` or ``.h5`` (``var["feature_types"]``) are split into modalities: gene expression becomes
        ``rna``, antibody capture ``adt``, peaks ``atac``, others keep their name.
    modality
        Name of the modality when an ``.h5ad`` file does not say the type of its features.

    Returns
    -------
    MuData
        All in memory. The columns of ``obs`` of an ``.h5ad`` are in ``mdata.obs`` too. When features are split, names
        that repeat within a modality (gene symbols do) get a suffix.

    Raises
    ------
    FileNotFoundError
        There is nothing at `path`.
    ValueError
        The suffix is not one of these, it is a folder, or the file is damaged or holds something else.
    """
    path = Path(path).expanduser()
    readers: dict[str, Callable[[Path], MuData]] = {
        ".h5mu": lambda p: mudata.read_h5mu(p),
        ".zarr": lambda p: mudata.read_zarr(p),
        ".h5ad": lambda p: _split(anndata.read_h5ad(p), modality),
        ".h5": lambda p: _split(_read_10x(p), "rna"),
    }
    if path.is_dir() and path.suffix.lower() != ".zarr":
        raise ValueError(f"Cannot read {path}: it is a folder. Name a file ({', '.join(readers)}).")
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise ValueError(f"Cannot read {path}: expected one of {', '.join(readers)}, found {path.suffix!r}.")
    if not path.exists():
        raise FileNotFoundError(f"There is no file {path}. Check the name and the folder.")
    try:
        with quiet_mudata(), warnings.catch_warnings():
            # Gene symbols repeat in 10x files; they are made unique, or refused with a message where they are used.
            warnings.filterwarnings("ignore", message=".* names are not unique")
            return reader(path)
    except MemoryError:
        raise
    except Exception as error:  # the readers raise about every kind of error on damaged files
        raise ValueError(
            f"Cannot read {path} as {path.suffix}: {type(error).__name__}: {_first_line(error)}. "
            "The file may be damaged, cut short or of another kind; write or download it again."
        ) from error


def _read_10x(path: Path) -> AnnData:
    import scanpy  # takes seconds, and only this format needs it

    return scanpy.read_10x_h5(path, gex_only=False)


def _split(adata: AnnData, modality: str) -> MuData:
    """Make one modality of each type of feature; without types, all is `modality`."""
    mods = _by_feature_type(adata) if "feature_types" in adata.var else {modality: adata}
    mdata = MuData(mods)
    mdata.obs = adata.obs.copy()  # batches and labels belong to the cells, not to one modality
    return mdata


def _by_feature_type(adata: AnnData) -> dict[str, AnnData]:
    names = adata.var["feature_types"].astype(str).map(_modality_name)
    mods = {}
    for name in names.unique():
        mods[name] = adata[:, (names == name).to_numpy()].copy()
        if not mods[name].var_names.is_unique:
            repeated = int(mods[name].var_names.duplicated().sum())
            mods[name].var_names_make_unique()
            logger.info("%s: %d feature names occurred more than once and got a suffix (-1, -2 ...)", name, repeated)
    return mods


def _modality_name(feature_type: str) -> str:
    kind = feature_type.lower()
    return FEATURE_TYPES.get(kind) or re.sub(r"[^0-9a-z]+", "_", kind).strip("_") or "other"


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "no reason given").rstrip(".")
