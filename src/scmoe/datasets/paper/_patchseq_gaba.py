"""Patch-seq of inhibitory neurons of mouse visual cortex, as the scMoE paper has it."""

import os

import pandas as pd
from mudata import MuData

from scmoe.arguments._checked import checks_arguments
from scmoe.datasets._download import fetch
from scmoe.datasets._read import read
from scmoe.datasets.paper._parts import files_of, join, read_part

REPOSITORY = (
    "https://raw.githubusercontent.com/LiuLab-Bioelectronics-Harvard/UnitedNet/"
    "7e9ad2b4b4e29f853e9a42519a9b2159730a9b48/data/patchseq/"
)
"""Pinned to a commit, so the files cannot change."""
FILES = {"rna": "adata_RNA_TEM.h5ad", "ephys": "adata_Ephys_TEM.h5ad", "morph": "adata_Morph_TEM.h5ad"}
OBS = {"cell_type_TEM": "met_type", "cell_type_T": "t_type"}


@checks_arguments
def patchseq_gaba(path: str | os.PathLike[str] | None = None) -> MuData:
    """Inhibitory neurons of mouse visual cortex with RNA, electrophysiology and morphology :cite:p:`gouwens2020`.

    The 448 neurons of the scMoE paper, which have all three. Types were found from all three as well. RNA is on a
    logarithmic scale; the other features are in units of their own.

    Parameters
    ----------
    path
        A folder with the three files of ``data/patchseq`` of the UnitedNet repository, or one file with all of it, to
        read these instead of downloading.

    Returns
    -------
    MuData
        ``rna``: 448 cells x 1252 genes; ``ephys``: 68 features; ``morph``: 514 features (all float32, none missing).
        ``obs``: ``met_type`` (27 types; one has two cells), ``t_type`` (52 transcriptomic types) and ``major`` (the
        five families that the types are of).

    Raises
    ------
    ConnectionError
        A file is not in the cache and cannot be downloaded; the message names the URL and the cache.
    FileNotFoundError
        The folder lacks a file.
    ValueError
        A file lacks a column, the files are not of the same cells, or one is not the one downloaded first.

    Notes
    -----
    Files are cached and compared with those of the first download as described at `pbmc10k_cite`. They are the
    authors' tables as the UnitedNet repository holds them, whose cells have no names: they are numbered.

    Examples
    --------
    >>> import scmoe
    >>> mdata = scmoe.datasets.patchseq_gaba()  # doctest: +SKIP
    >>> scmoe.pp.prepare(mdata)  # doctest: +SKIP
    >>> model = scmoe.tl.train(mdata, preset="patchseq", labels_key="met_type")  # doctest: +SKIP
    """
    if path is not None and not os.path.isdir(os.path.expanduser(path)):
        return read(path)
    if path is None:
        sources = [fetch(REPOSITORY + name) for name in FILES.values()]
    else:
        sources = files_of(path, list(FILES.values()), "data/patchseq of the UnitedNet repository")
    parts = {name: read_part(source, list(OBS)) for name, source in zip(FILES, sources, strict=True)}
    for adata in parts.values():
        adata.obs_names = [f"n{i}" for i in range(adata.n_obs)]
    mdata = join(parts, OBS)
    mdata.obs = mdata.obs.astype("category")
    mdata.obs["major"] = pd.Categorical(mdata.obs["met_type"].astype(str).str.split("-").str[0])
    return mdata
