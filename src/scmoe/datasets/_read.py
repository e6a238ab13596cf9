"""One reader for the files that single-cell tools leave behind."""

import os
import re
import warnings
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import anndata
import h5py
import mudata
import zarr
from anndata import AnnData
from mudata import MuData

from scmoe._log import logger
from scmoe.arguments._checked import checks_arguments
from scmoe.datasets._cell_ranger import read_10x_h5
from scmoe.datasets._factors import restore_factors
from scmoe.datasets._feature_types import FeatureTypeError, make_features_unique, split
from scmoe.datasets._format import MATRIX_ENDINGS, SUFFIXES, TABLE_ENDINGS, Format, FormatError, recognize
from scmoe.datasets._matrix_market import read_matrix_market
from scmoe.datasets._simpleaf import restore_names
from scmoe.datasets._spatialdata import NoTableError, locate, read_spatialdata, sole_table, store_of
from scmoe.datasets.disk._open import open_on_disk, remove_cache_of
from scmoe.io._files import WriteError
from scmoe.io._plain import plain
from scmoe.io._quiet import quiet_mudata
from scmoe.io._versions import installed, written_by

UNKNOWN_ENCODING = re.compile(r"encoding_type='([^']*)', encoding_version='([^']*)'")
"""How anndata names what it has no reader for."""

REMEDIES = {
    r"^PermissionError": "ask its owner for the permission to read it",
    r"^BlockingIOError": "another program has it open. Close it there and try again",
    r"/plugin": "it needs a filter of HDF5 that is not installed. Try pip install hdf5plugin (snapATAC2 compresses so)",
    r"^UnknownCodec": "it needs a codec that this zarr does not have. Install the codec, or ask for a file without",
}
"""What to do about files that cannot be read and are not damaged, by a pattern of the error."""


FILTERS = "hdf5plugin"
"""Package whose import gives HDF5 the filters that files of snapATAC2 need; no dependency of ours."""
OF_R = (".rds", ".rda", ".rdata", ".h5seurat", ".qs", ".qs2")
"""Endings of files that R writes."""


class AxisError(ValueError):
    """The modalities of a store share features, not cells."""


@checks_arguments
def read(
    path: str | os.PathLike[str],
    *,
    modality: str = "rna",
    genome: str | None = None,
    table: str | Sequence[str] | None = None,
    on_disk: bool = False,
    cache_dir: str | os.PathLike[str] | None = None,
) -> MuData:
    """Read single-cell data from a file or folder into a MuData.

    Parameters
    ----------
    path
        ``.h5mu``, ``.h5ad``, ``.zarr`` (of a MuData, an AnnData or SpatialData), ``.h5`` as written by Cell Ranger or
        CellBender, or a folder with ``matrix.mtx``, ``features.tsv`` (or ``genes.tsv``, ``peaks.bed``) and
        ``barcodes.tsv``, compressed or not; also a folder as alevin-fry or kallisto|bustools writes it, and one file
        ``.mtx`` of several. What is in it counts, not its name; a line of the log says where the two differ.
        :doc:`/formats` has all layouts that were tried.
    modality
        Name of the modality when an AnnData does not say the type of its features.
    genome
        The genome to read from 10x ``.h5``, whose name the file gives; features of no genome (antibodies) are kept.
        Needed only for files of Cell Ranger 1 or 2 with several.
    table
        Of SpatialData: name of a table, or of several of the same cells, which become modalities; see
        `scmoe.datasets.from_spatialdata`. None: the only one, or all if they are of the same cells.
    on_disk
        Whether matrices (``X``, layers and ``.raw``) stay on disk, for data that memory does not hold. They are copied
        once, to a folder beside the file that is called like it with ``.scmoe-cache`` behind, which takes as much room
        as they do; `scmoe.datasets.remove_cache` removes it. A folder of Matrix Market files cannot be left on disk.
    cache_dir
        Another folder for such caches, on a fast disk with room.

    Returns
    -------
    MuData
        All in memory, and the same whichever versions of anndata and mudata wrote the file. With `on_disk` the same
        values in read-only, memory-mapped arrays: sparse matrices and those of which most values are zero as CSR,
        others dense. A cache of another version of the file, or a damaged one, is made anew, and the log says so.

        Features of several types (``var["feature_types"]``) are split into modalities, and ``.raw`` with them. Gene
        expression becomes ``rna``, antibody capture ``adt``, peaks ``atac``, multiplexing capture ``hto``, CRISPR
        guide capture ``guides``; others keep their name. Feature names that repeat within a modality (gene symbols do)
        get a suffix. Cells that repeat do not: `scmoe.pp.prepare` refuses them. Counts that a tool divides into
        spliced, unspliced and ambiguous ones are added up, and stay in layers of these names.

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

    scmoe.io._files.WriteError
        (an `OSError` and `ValueError`) The cache cannot be written, or its disk is full; nothing is left of it.

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
    if path.is_file() and suffix not in SUFFIXES and not path.name.endswith(MATRIX_ENDINGS):
        if not h5py.is_hdf5(path):
            raise ValueError(
                f"Cannot read {path}: expected one of {', '.join(SUFFIXES)}, or a folder with matrix.mtx, found "
                f"{suffix!r}.{_how_to_convert(path)}"
            )
    if find_spec(FILTERS) is not None:
        import_module(FILTERS)
    if cache_dir is not None and not on_disk:
        raise ValueError("cache_dir= says where matrices stay on disk. Pass on_disk=True with it.")
    if path.is_dir() and (root := store_of(path)) is not None:
        path, table = root, path.name
    try:
        with quiet_mudata(), warnings.catch_warnings():
            # Gene symbols repeat in 10x files; they are made unique, or refused with a message where they are used.
            warnings.filterwarnings("ignore", message=".* names are not unique")
            warnings.filterwarnings("ignore", message="Element .* was written without encoding metadata")  # by R
            form = recognize(path)
            if form not in SUFFIXES.get(suffix, (Format.MATRIX_MARKET,)):
                logger.info("%s holds %s, whatever its name says", path.name, form)

            def read_rest(rest: Path) -> MuData:
                mdata = _read(rest, form, modality, genome, table)
                make_features_unique(mdata)
                return plain(mdata)

            if form is not Format.SPATIALDATA and table is not None:
                raise FormatError(f"{path} holds {form}, which has no tables: leave table={table!r} out.")
            if not on_disk:
                return read_rest(path)
            root = path
            if form is Format.SPATIALDATA:
                path, form = sole_table(path, table), Format.ANNDATA_ZARR
            mdata = open_on_disk(path, form, None if cache_dir is None else Path(cache_dir), genome, read_rest)
            if root != path:
                for adata in mdata.mod.values():
                    locate(adata, root)
            return mdata
    except (MemoryError, AxisError, FormatError, WriteError, NoTableError):
        raise
    except FeatureTypeError as error:
        raise FeatureTypeError(f"Cannot read {path}: {error}") from error
    except Exception as error:  # the readers raise about every kind of error on damaged files
        raise ValueError(f"Cannot read {path}: {_reason(path, error)}") from error


@checks_arguments
def remove_cache(path: str | os.PathLike[str], *, cache_dir: str | os.PathLike[str] | None = None) -> bool:
    """Remove what `read` with ``on_disk=True`` has copied of a file.

    Data that are in use keep working on Linux and macOS; the room is free when they are gone.

    Parameters
    ----------
    path
        The file or folder that was read; it need not be there any more.
    cache_dir
        As in `read`.

    Returns
    -------
    bool
        Whether there was a cache.

    Raises
    ------
    scmoe.io._files.WriteError
        (an `OSError` and `ValueError`) It is being made, holds other files, or cannot be removed.

    Examples
    --------
    >>> import scmoe
    >>> scmoe.datasets.write(scmoe.datasets.bmmc_cite(), "cells.h5mu")
    >>> mdata = scmoe.datasets.read("cells.h5mu", on_disk=True)
    >>> scmoe.datasets.remove_cache("cells.h5mu")
    True
    """
    folder = remove_cache_of(Path(path).expanduser(), None if cache_dir is None else Path(cache_dir))
    logger.info("removed %s" if folder else "there is no cache of %s", folder or path)
    return folder is not None


def _read(path: Path, form: Format, modality: str, genome: str | None, table: str | Sequence[str] | None) -> MuData:
    if form is Format.COUNTS_10X:
        return split(read_10x_h5(path, genome), "rna")
    if genome is not None:
        raise FormatError(f"{path} holds {form}, which has no genomes apart: leave genome={genome!r} out.")
    if form is Format.SPATIALDATA:
        return read_spatialdata(path, table, modality)
    if form is Format.MUDATA:
        return mudata.read_h5mu(path)
    if form is Format.MUDATA_ZARR:
        return _read_mudata_zarr(path)
    readers = {
        Format.ANNDATA: _read_h5ad,
        Format.ANNDATA_ZARR: anndata.read_zarr,
        Format.MATRIX_MARKET: read_matrix_market,
    }
    return split(readers[form](path), modality)


def _read_h5ad(path: Path) -> AnnData:
    adata = anndata.read_h5ad(path)
    restore_factors(adata, path)
    restore_names(adata)
    return adata


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


def _how_to_convert(path: Path) -> str:
    """How to make a file that can be read of one that does not say what its rows are, or is of R."""
    if path.name.lower().endswith(TABLE_ENDINGS):
        return (
            " A table does not say what its rows are. If they are genes, as in most tables of GEO: import anndata, "
            f'pandas; table = pandas.read_csv("{path.name}", sep=None, engine="python", index_col=0).T; '
            'anndata.AnnData(table.astype("float32")).write_h5ad("cells.h5ad"). If they are cells, leave .T out.'
        )
    if path.suffix.lower() in OF_R:
        return (
            " It is a file of R. There, write it as .h5ad with the package anndataR "
            '(anndataR::write_h5ad(object, "cells.h5ad")), which keeps counts and cell metadata.'
        )
    return ""


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "no reason given").rstrip(".")
