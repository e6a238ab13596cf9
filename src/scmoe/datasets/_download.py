"""Public data, downloaded once and verified each time they are used."""

import os
from pathlib import Path

import pooch
import requests
from mudata import MuData

from scmoe._log import logger
from scmoe.arguments._checked import checks_arguments
from scmoe.datasets._read import read
from scmoe.io._files import atomic_path

CACHE_VARIABLE = "SCMOE_DATA_DIR"
"""Environment variable that names another folder for downloaded files."""
HDF5, GZIP = b"\x89HDF\r\n\x1a\n", b"\x1f\x8b"
"""How files of these formats begin."""
PBMC10K_CITE = (
    "https://cf.10xgenomics.com/samples/cell-exp/3.0.0/pbmc_10k_protein_v3/"
    "pbmc_10k_protein_v3_filtered_feature_bc_matrix.h5"
)
PBMC10K_MULTIOME = (
    "https://cf.10xgenomics.com/samples/cell-arc/1.0.0/pbmc_granulocyte_sorted_10k/"
    "pbmc_granulocyte_sorted_10k_filtered_feature_bc_matrix.h5"
)


@checks_arguments
def pbmc10k_cite(path: str | os.PathLike[str] | None = None) -> MuData:
    """Human blood cells with RNA and surface proteins (CITE-seq), as 10x Genomics publishes them.

    The unfiltered genes of about 8 000 cells of a healthy donor (3' v3 chemistry, TotalSeq-B antibodies); the
    antibody panel includes isotype controls. No labels. Filter cells and choose variable genes before training.

    Parameters
    ----------
    path
        A file to read instead of downloading, in any format that `scmoe.datasets.read` knows.

    Returns
    -------
    MuData
        ``rna`` and ``adt``, raw counts.

    Raises
    ------
    ConnectionError
        The file is not in the cache and cannot be downloaded; the message names the URL and the cache.
    ValueError
        The file in the cache is not the one downloaded first.

    Notes
    -----
    The file is kept in the operating system's cache folder (or in ``$SCMOE_DATA_DIR``). 10x Genomics publishes no
    SHA-256 for it: the checksum of the first download is stored beside it, and the file is compared with it each time.

    Examples
    --------
    >>> mdata = scmoe.datasets.pbmc10k_cite()  # doctest: +SKIP
    """
    return read(path if path is not None else fetch(PBMC10K_CITE))


@checks_arguments
def pbmc10k_multiome(path: str | os.PathLike[str] | None = None) -> MuData:
    """Human blood nuclei with RNA and open chromatin (Multiome), as 10x Genomics publishes them.

    About 12 000 nuclei of a healthy donor, granulocytes removed by sorting. No labels. Genes and peaks are
    unfiltered: choose variable ones before training.

    Parameters
    ----------
    path
        A file to read instead of downloading, in any format that `scmoe.datasets.read` knows.

    Returns
    -------
    MuData
        ``rna`` and ``atac``, raw counts.

    Raises
    ------
    ConnectionError
        The file is not in the cache and cannot be downloaded; the message names the URL and the cache.
    ValueError
        The file in the cache is not the one downloaded first.

    Notes
    -----
    Cached and verified as described at `pbmc10k_cite`.

    Examples
    --------
    >>> mdata = scmoe.datasets.pbmc10k_multiome()  # doctest: +SKIP
    """
    return read(path if path is not None else fetch(PBMC10K_MULTIOME))


def fetch(url: str, sha256: str | None = None, *, begins: bytes = HDF5) -> Path:
    """Return the local copy of a file, downloading it when it is not in the cache.

    Parameters
    ----------
    url
        Where the file is; its last part names the copy.
    sha256
        The checksum, if it is known; otherwise that of the first download, kept in ``<name>.sha256``.
    begins
        The bytes that the file begins with: a page that asks for a login does not.

    Raises
    ------
    ConnectionError
        The file cannot be downloaded.
    ValueError
        The file has another checksum.
    WriteError
        The cache cannot be written.
    """
    target = Path(os.environ.get(CACHE_VARIABLE) or pooch.os_cache("scmoe")) / url.rsplit("/", 1)[-1]
    record = target.with_name(target.name + ".sha256")
    if sha256 is None and record.exists():
        sha256 = record.read_text().strip()
    if target.exists():
        _verify(target, sha256, f"Delete {target} to download it again")
    else:
        with atomic_path(target) as temporary:
            _download(url, temporary, target, begins)
            _verify(temporary, sha256, f"The file at {url} has changed; delete {record} to accept the new one")
    if sha256 is None:
        with atomic_path(record) as temporary:
            temporary.write_text(pooch.file_hash(str(target)) + "\n")
    return target


def _download(url: str, temporary: Path, target: Path, begins: bytes) -> None:
    logger.info("downloading %s to %s", url, target)
    remedy = f"Check the connection, or download it elsewhere and either pass path= or put it at {target}."
    try:
        pooch.HTTPDownloader(progressbar=True)(url, str(temporary), None)
    except requests.RequestException as error:
        raise ConnectionError(f"Cannot download {url}: {type(error).__name__}. {remedy}") from error
    with temporary.open("rb") as file:
        head = file.read(len(begins))
    if head != begins:
        raise ConnectionError(f"{url} answered with another file: it begins with {head!r}, not {begins!r}. {remedy}")


def _verify(path: Path, sha256: str | None, remedy: str) -> None:
    digest = pooch.file_hash(str(path))
    if sha256 is not None and digest != sha256:
        raise ValueError(f"{path.name} has the SHA-256 {digest}, expected {sha256}. {remedy}.")
