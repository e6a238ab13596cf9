"""Bone marrow with RNA and open chromatin: the whole set of the NeurIPS 2021 competition."""

import gzip
import os
import shutil
from pathlib import Path

from mudata import MuData

from scmoe.arguments._checked import checks_arguments
from scmoe.datasets._download import GZIP, fetch
from scmoe.datasets._read import read
from scmoe.datasets.paper._peak_genes import nearest_genes
from scmoe.io._files import atomic_path

URL = (
    "https://ftp.ncbi.nlm.nih.gov/geo/series/GSE194nnn/GSE194122/suppl/"
    "GSE194122_openproblems_neurips2021_multiome_BMMC_processed.h5ad.gz"
)


@checks_arguments
def bmmc_multiome(
    path: str | os.PathLike[str] | None = None, *, genes: str | os.PathLike[str] | None = None, on_disk: bool = False
) -> MuData:
    """Bone-marrow nuclei of ten donors with RNA and open chromatin (Multiome) :cite:p:`luecken2021`.

    69 249 nuclei, 22 types, 13 batches of four sites. The scMoE paper takes 4000 variable genes, and 13 634 variable
    peaks as present or absent: ``n_top_features=`` of `scmoe.pp.prepare` chooses features, and
    ``likelihoods={"atac": "bernoulli"}`` of `scmoe.tl.train` asks whether a count is above zero.

    Parameters
    ----------
    path
        The file ``GSE194122_openproblems_neurips2021_multiome_BMMC_processed.h5ad`` (or ``.h5ad.gz``) of the GEO series
        GSE194122, to read it instead of downloading (2.7 GB).
    genes
        A GTF file (or ``.gtf.gz``) of genes: ``mdata["atac"].var`` gets ``gene``, the nearest transcription start, and
        ``gene_distance`` in base pairs.
    on_disk
        Whether matrices stay on disk, see `scmoe.datasets.read`.

    Returns
    -------
    MuData
        ``rna`` and ``atac``, raw counts. ``obs``: ``cell_type``, ``batch`` (such as ``"s1d1"``: site and donor) and
        what else the competition published.

    Raises
    ------
    ConnectionError
        The file is not in the cache and cannot be downloaded; the message names the URL and the cache.
    ValueError
        The file in the cache is not the one downloaded first, or `genes` has no genes, or on other chromosomes.

    Examples
    --------
    >>> mdata = scmoe.datasets.bmmc_multiome()  # doctest: +SKIP
    """
    source = fetch(URL, begins=GZIP) if path is None else Path(path).expanduser()
    mdata = read(_unpacked(source) if source.suffix == ".gz" else source, on_disk=on_disk)
    if genes is not None:
        found = nearest_genes(mdata.mod["atac"].var_names, genes)
        mdata.mod["atac"].var[found.columns] = found
    return mdata


def _unpacked(path: Path) -> Path:
    """The file beside a compressed one, made if it is not there."""
    target = path.with_suffix("")
    if not target.exists():
        with atomic_path(target) as temporary, gzip.open(path) as source, temporary.open("wb") as file:
            shutil.copyfileobj(source, file, 2**22)
    return target
