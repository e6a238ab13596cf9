"""One reader for the files that single-cell tools leave behind."""

import os
import re
import warnings
from pathlib import Path

import anndata
import h5py
import mudata
import zarr
from mudata import MuData

from scmoe._log import logger
from scmoe.arguments._checked import checks_arguments
from scmoe.datasets._cell_ranger import read_10x_h5, read_matrix_market
from scmoe.datasets._feature_types import FeatureTypeError, make_features_unique, split
from scmoe.datasets._format import SUFFIXES, Format, FormatError, recognize
from scmoe.io._plain import plain
from scmoe.io._quiet import quiet_mudata
from scmoe.io._versions import installed, written_by

UNKNOWN_ENCODING = re.compile(r"encoding_type='([^']*)', encoding_version='([^']*)'")
"""How anndata names what it has no reader for."""

REMEDIES = {
    r"^PermissionError": "ask its owner for the permission to read it",
    r"^BlockingIOError": "another program has it open. Close it there and try again",
    r"/plugin": "it needs a filter of HDF5 that is not installed. Try pip install hdf5plugin, and import it first",
    r"^UnknownCodec": "it needs a codec that this zarr does not have. Install the codec, or ask for a file without",
}
"""What to do about files that cannot be read and are not damaged, by a pattern of the error."""


class AxisError(ValueError):
    """The modalities of a store share features, not cells."""


@checks_arguments
def read(path: str | os.PathLike[str], *, modality: str = "rna", genome: str | None = None) -> MuData:
    """Read single-cell data from a file or folder into a MuData.

    Parameters
    ----------
    path
        ``.h5mu``, ``.h5ad``, ``.zarr`` (of a MuData or an AnnData), ``.h5`` as written by Cell Ranger or CellBender,
        or a folder with ``matrix.mtx``, ``features.tsv`` (or ``genes.tsv``) and ``barcodes.tsv``, compressed or not.
        What is in it counts, not its name; a line of the log says where the two differ.
    modality
        Name of the modality when an AnnData does not say the type of its features.
    genome
        The genome to read from 10x ``.h5``, whose name the file gives; features of no genome (antibodies) are kept.
        Needed only for files of Cell Ranger 1 or 2 with several.

    Returns
    -------
    MuData
        All in memory, and the same whichever versions of anndata and mudata wrote the file.

        Features of several types (``var["feature_types"]``) are split into modalities, and ``.raw`` with them. Gene
        expression becomes ``rna``, antibody capture ``adt``, peaks ``atac``, multiplexing capture ``hto``, CRISPR
        guide capture ``guides``; others keep their name. Feature names that repeat within a modality (gene symbols do)
        get a suffix. Cells that repeat do not: `scmoe.pp.prepare` refuses them.

        Text is what the installed pandas takes strings for; text with gaps is categorical. A column of ``mdata.obs``
        whose numbers are whole may be ``Int64``, as mudata makes it. The columns of ``obs`` of an AnnData are in
        ``mdata.obs`` too.

    Raises
    ------
    FileNotFoundError
        There is nothing at `path`.
    ValueError
        It holds none of these, or two at once; it has several genomes, or not this one; some features have a type and
        others none; it is damaged, or comes from versions that the installed ones do not know.

    Examples
    --------
    >>> import scmoe
    >>> mdata = scmoe.datasets.bmmc_cite()
    >>> scmoe.datasets.write(mdata["adt"], "proteins.h5ad")
    >>> list(scmoe.datasets.read("proteins.h5ad", modality="adt").mod)
    ['adt']
    """
    path = Path(path).expanduser()
    suffix = path.suffix.lower()
    if not path.exists():
        raise FileNotFoundError(f"There is no file {path}. Check the name and the folder.")
    if path.is_file() and suffix not in SUFFIXES and not h5py.is_hdf5(path):
        raise ValueError(
            f"Cannot read {path}: expected one of {', '.join(SUFFIXES)}, or a folder with matrix.mtx, found {suffix!r}."
        )
    try:
        with quiet_mudata(), warnings.catch_warnings():
            # Gene symbols repeat in 10x files; they are made unique, or refused with a message where they are used.
            warnings.filterwarnings("ignore", message=".* names are not unique")
            mdata = _read(path, recognize(path), modality, genome)
            make_features_unique(mdata)
            return plain(mdata)
    except (MemoryError, AxisError, FormatError):
        raise
    except FeatureTypeError as error:
        raise FeatureTypeError(f"Cannot read {path}: {error}") from error
    except Exception as error:  # the readers raise about every kind of error on damaged files
        raise ValueError(f"Cannot read {path}: {_reason(path, error)}") from error


def _read(path: Path, form: Format, modality: str, genome: str | None) -> MuData:
    promised = SUFFIXES.get(path.suffix.lower(), (Format.MATRIX_MARKET,))
    if form not in promised:
        logger.info("%s holds %s, whatever its name says", path.name, form)
    if form is Format.COUNTS_10X:
        return split(read_10x_h5(path, genome), "rna")
    if genome is not None:
        raise FormatError(f"{path} holds {form}, which has no genomes apart: leave genome={genome!r} out.")
    if form is Format.MUDATA:
        return mudata.read_h5mu(path)
    if form is Format.MUDATA_ZARR:
        return _read_mudata_zarr(path)
    readers = {
        Format.ANNDATA: anndata.read_h5ad,
        Format.ANNDATA_ZARR: anndata.read_zarr,
        Format.MATRIX_MARKET: read_matrix_market,
    }
    return split(readers[form](path), modality)


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


def _read_mudata_zarr(path: Path) -> MuData:
    if axis := zarr.open_group(path, mode="r").attrs.get("axis", 0):  # which mudata reads as 0
        raise AxisError(
            f"Cannot read {path}: expected modalities that share cells (MuData axis 0), found axis {axis}, which "
            f"{installed()} lose on the way from .zarr. Write it as .h5mu."
        )
    mdata = mudata.read_zarr(path)
    for name, adata in mdata.mod.items():
        part = path / "mod" / name
        if adata.raw is None and (part / "raw").is_dir():  # mudata before 0.4 writes it, and does not read it
            adata.raw = anndata.read_zarr(part).raw.to_adata()
    return mdata


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "no reason given").rstrip(".")
