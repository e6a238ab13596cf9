"""One reader for the files that single-cell tools leave behind."""

import os
import re
import warnings
from collections.abc import Callable
from pathlib import Path

import anndata
import mudata
import zarr
from anndata import AnnData
from mudata import MuData

from scmoe._log import logger
from scmoe.io._plain import plain
from scmoe.io._quiet import quiet_mudata
from scmoe.io._versions import installed, written_by

FEATURE_TYPES = {
    "gene expression": "rna",
    "gex": "rna",
    "antibody capture": "adt",
    "adt": "adt",
    "peaks": "atac",
    "atac": "atac",
}
"""Names of the modalities by the ``feature_types`` that 10x Genomics and NeurIPS 2021 files hold."""

UNKNOWN_ENCODING = re.compile(r"encoding_type='([^']*)', encoding_version='([^']*)'")
"""How anndata names what it has no reader for."""

REMEDIES = {
    r"^PermissionError": "ask its owner for the permission to read it",
    r"^BlockingIOError": "another program has it open. Close it there and try again",
    r"/plugin": "it needs a filter of HDF5 that is not installed. Try pip install hdf5plugin, and import it first",
    r"^UnknownCodec": "it needs a codec that this zarr does not have. Install the codec, or ask for a file without",
    r"encoding_type='MuData'": "it is a MuData, and its name should end in .h5mu (or .zarr)",
}
"""What to do about files that cannot be read and are not damaged, by a pattern of the error."""


class AxisError(ValueError):
    """The modalities of a store share features, not cells."""


def read(path: str | os.PathLike[str], *, modality: str = "rna") -> MuData:
    """Read a file of single-cell data into a MuData.

    Parameters
    ----------
    path
        ``.h5mu``, ``.h5ad``, ``.zarr`` (of a MuData or an AnnData), or ``.h5`` as written by Cell Ranger. Features of
        several types in one AnnData or ``.h5`` (``var["feature_types"]``) are split into modalities. Gene expression
        becomes ``rna``, antibody capture ``adt``, peaks ``atac``; others keep their name.
    modality
        Name of the modality when an AnnData does not say the type of its features.

    Returns
    -------
    MuData
        All in memory, and the same whichever versions of anndata and mudata wrote the file. Text is what the installed
        pandas takes strings for; text with gaps is categorical. A column of ``mdata.obs`` whose numbers are whole may
        be ``Int64``, as mudata makes it. The columns of ``obs`` of an AnnData are in
        ``mdata.obs`` too. When features are split, names that repeat within a modality (gene symbols do) get a suffix.

    Raises
    ------
    FileNotFoundError
        There is nothing at `path`.
    ValueError
        The suffix is not one of these, it is a folder, the file is damaged or holds something else, or it comes from
        versions that the installed ones do not know.
    """
    path = Path(path).expanduser()
    readers: dict[str, Callable[[Path], MuData]] = {
        ".h5mu": lambda p: mudata.read_h5mu(p),
        ".zarr": lambda p: _read_zarr(p, modality),
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
            return plain(reader(path))
    except (MemoryError, AxisError):
        raise
    except Exception as error:  # the readers raise about every kind of error on damaged files
        raise ValueError(f"Cannot read {path} as {path.suffix}: {_reason(path, error)}") from error


def _reason(path: Path, error: Exception) -> str:
    """What is wrong: the file, or the libraries that are to read it."""
    message = f"{type(error).__name__}: {_first_line(error)}"
    remedy = next(
        (remedy for sign, remedy in REMEDIES.items() if re.search(sign, f"{type(error).__name__}: {error}")), None
    )
    if remedy is not None:
        return f"{message}. The file may be fine; {remedy}."
    if unknown := UNKNOWN_ENCODING.search(str(error)):
        writer = written_by(path)
        return (
            f"it holds {unknown[1]!r} in version {unknown[2]}, which {installed()} do not know. The file "
            f"{f'was written by {writer}' if writer else 'comes from other versions'}; update anndata and mudata, or "
            "ask for the file as older versions write it."
        )
    if isinstance(error, (AttributeError, TypeError, ImportError, NameError, NotImplementedError)):
        return (
            f"{message}. The file may be of another kind; if other tools read it, {installed()} and the libraries "
            "beside them do not fit each other or scmoe. Please report this line."
        )
    return f"{message}. The file may be damaged, cut short or of another kind; write or download it again."


def _read_zarr(path: Path, modality: str) -> MuData:
    """A store of a MuData, or of one AnnData."""
    if axis := zarr.open_group(path, mode="r").attrs.get("axis", 0):  # which mudata reads as 0
        raise AxisError(
            f"Cannot read {path}: expected modalities that share cells (MuData axis 0), found axis {axis}, which "
            f"{installed()} lose on the way from .zarr. Write it as .h5mu."
        )
    data = mudata.read_zarr(path)
    if isinstance(data, AnnData):
        return _split(data, modality)
    for name, adata in data.mod.items():
        part = path / "mod" / name
        if adata.raw is None and (part / "raw").is_dir():  # mudata before 0.4 writes it, and does not read it
            adata.raw = anndata.read_zarr(part).raw.to_adata()
    return data


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
