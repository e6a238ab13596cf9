"""Blood cells with the annotation that most comparisons of annotation use."""

import os
import tarfile
import warnings
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse
from scipy.io import mmread

from scmoe.arguments._checked import checks_arguments
from scmoe.datasets._download import GZIP, fetch

MATRICES = (
    "https://cf.10xgenomics.com/samples/cell-exp/1.1.0/fresh_68k_pbmc_donor_a/"
    "fresh_68k_pbmc_donor_a_filtered_gene_bc_matrices.tar.gz"
)
ANNOTATION = (
    "https://raw.githubusercontent.com/10XGenomics/single-cell-3prime-paper/master/pbmc68k_analysis/"
    "68k_pbmc_barcodes_annotation.tsv"
)
ANNOTATION_BEGINS = b"TSNE.1\t"
BARCODE, CELL_TYPE = "barcodes", "celltype"
"""Columns of the annotation."""
_read_names = partial(pd.read_csv, sep="\t", header=None, dtype=str, na_filter=False)
MATRIX, GENES, BARCODES = "matrix.mtx", "genes.tsv", "barcodes.tsv"
READERS: dict[str, Callable[[Any], Any]] = {MATRIX: mmread, GENES: _read_names, BARCODES: _read_names}
"""Files of the archive, in a folder for the genome, and their readers: counts, names of genes, barcodes."""


@checks_arguments
def zheng68k(path: str | os.PathLike[str] | None = None) -> AnnData:
    """68 579 fresh blood cells of one donor, with the annotation published beside them :cite:p:`zheng2017`.

    The annotation (11 types) is the type of the sorted cells whose mean expression a cell correlates with most. So it
    is made from the RNA itself, not by an independent measurement. Types that overlap in expression, such as those of
    CD4 T cells, are mixed. Perfect agreement with it is neither possible nor desirable.

    Parameters
    ----------
    path
        A folder with ``fresh_68k_pbmc_donor_a_filtered_gene_bc_matrices.tar.gz`` and
        ``68k_pbmc_barcodes_annotation.tsv``, to read these instead of downloading.

    Returns
    -------
    AnnData
        Cells x 32 738 genes, raw counts (CSR, float32). ``var_names``: symbols, those that repeat with a suffix;
        ``var["gene_ids"]``: Ensembl identifiers. ``obs["cell_type"]``: categorical, matched by barcode.

    Raises
    ------
    ConnectionError
        A file is not in the cache and cannot be downloaded; the message names the URL and the cache.
    FileNotFoundError
        The folder lacks a file.
    ValueError
        A file is damaged, lacks a part, does not fit the other one, or is not the one downloaded first.

    Notes
    -----
    Files are cached and compared with those of the first download as described at `pbmc10k_cite`. The annotation is
    read from the master branch of the repository 10XGenomics/single-cell-3prime-paper. The archive is read in place
    and never unpacked to disk.

    Examples
    --------
    >>> adata = scmoe.datasets.zheng68k()  # doctest: +SKIP
    """
    folder = None if path is None else Path(path).expanduser()
    adata = _read_archive(_file(MATRICES, GZIP, folder))
    adata.obs["cell_type"] = _annotation(adata.obs_names, _file(ANNOTATION, ANNOTATION_BEGINS, folder))
    return adata


def _file(url: str, begins: bytes, folder: Path | None) -> Path:
    """The file in the folder, or the one downloaded."""
    if folder is None:
        return fetch(url, begins=begins)
    path = folder / url.rsplit("/", 1)[-1]
    if not path.exists():
        raise FileNotFoundError(f"There is no file {path}. Expected a folder with this file from {url}.")
    return path


def _read_archive(archive: Path) -> AnnData:
    """Counts with the names of cells and genes, from an archive that is never unpacked to disk."""
    parts: dict[str, Any] = {}
    try:
        with tarfile.open(archive, "r:gz") as members:
            for member in members:
                name = member.name.rsplit("/", 1)[-1]
                file = members.extractfile(member) if member.isfile() and name in READERS else None
                if file is not None and name in parts:
                    raise ValueError(f"it has two files {name}, where one genome is expected")
                if file is not None:
                    parts[name] = READERS[name](file)
    except (tarfile.TarError, EOFError, OSError, ValueError, zlib.error) as error:
        raise ValueError(f"{archive.name} cannot be read: {error}. Delete it and download it again.") from error
    if missing := [name for name in READERS if name not in parts]:
        raise ValueError(f"{archive.name} must have {', '.join(READERS)}; found no {', '.join(missing)}.")
    genes, barcodes, counts = parts[GENES], parts[BARCODES], parts[MATRIX]
    if counts.shape != (len(genes), len(barcodes)):
        raise ValueError(
            f"{archive.name} must have counts of {len(genes)} genes x {len(barcodes)} cells, as {GENES} and "
            f"{BARCODES} say; found {' x '.join(map(str, counts.shape))}."
        )
    var = pd.DataFrame({"gene_ids": genes[0].to_numpy()}, index=genes[1].to_numpy())
    obs = pd.DataFrame(index=barcodes[0].to_numpy())
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".* names are not unique")  # they are made so here
        adata = AnnData(sparse.csr_matrix(counts.T, dtype=np.float32), obs=obs, var=var)
        adata.var_names_make_unique()
    return adata


def _annotation(cells: pd.Index, path: Path) -> pd.Categorical:
    table = pd.read_csv(path, sep="\t")
    if absent := [column for column in (BARCODE, CELL_TYPE) if column not in table]:
        raise ValueError(
            f"{path.name} must have the columns {BARCODE} and {CELL_TYPE}; found no {', '.join(absent)} but "
            f"{', '.join(map(str, table.columns[:5]))}."
        )
    types = table.set_index(BARCODE)[CELL_TYPE]
    if types.index.has_duplicates:
        raise ValueError(f"{path.name} has the barcode {types.index[types.index.duplicated()][0]!r} twice.")
    if len(missing := cells.difference(types.index)):
        raise ValueError(
            f"{path.name} lacks the cell {missing[0]!r} of the counts ({len(missing)} of {len(cells)} cells). Take "
            "the two files of the same data set."
        )
    return pd.Categorical(types.loc[cells])
