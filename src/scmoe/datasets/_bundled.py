"""Data that ship inside the package."""

from collections.abc import Mapping
from importlib import resources

import numpy as np
import pandas as pd
from mudata import MuData

from scmoe.datasets._read import read

LINEAGES = {
    "T and NK": r"^CD[48]\+ T|^T reg|gdT|MAIT|NK|ILC",
    "B": r"^B1 B|Naive CD20\+ B|Transitional B|Plasma",
    "myeloid": r"Mono|DC",
    "erythroid, progenitors": r"[Ee]rythro|Normo|Reticulo|prog|HSC",
}
"""Patterns of the types of `bmmc_cite` that belong together."""
COARSE_TYPES = {
    "CD4+ T naive": r"^CD4\+ T naive",
    "CD4+ T memory": r"^CD4\+ T|^T reg",
    "CD8+ T naive": r"^CD8\+ T naive",
    "CD8+ T memory": r"^CD8\+ T",
    "gdT and MAIT": r"^gdT|^MAIT",
    "NK": r"^NK",
    "ILC": r"^ILC",
    "B naive": r"^Naive CD20\+ B",
    "B1 B": r"^B1 B",
    "Plasma cell": r"^Plasma",
    "Erythroblast": r"erythroblast|^Erythroblast",
    "Progenitor": r"prog$|^HSC",
}
"""The same of a level between, most of whose types have ten cells; the first pattern that fits counts, and types that
none fits keep their names."""


def bmmc_cite() -> MuData:
    """600 human bone-marrow cells with RNA and surface proteins (CITE-seq); works offline.

    A subset of site 1 of the NeurIPS 2021 multimodal single-cell benchmark :cite:p:`luecken2021` (GEO accession
    GSE194122), redistributed by Open Problems in Single-Cell Analysis under the MIT License.

    Returns
    -------
    MuData
        ``rna``: 600 cells x 1000 genes, ``adt``: 600 cells x 134 surface proteins, both raw counts (CSR, float32);
        ``obs["cell_type"]``: 41 types, 32 of them in fewer than 3 % of the cells; ``obs["lineage"]``: 4 groups of
        them; ``obs["coarse_type"]``: 19 types between these levels; ``obs["batch"]``: 2 donors.

    Examples
    --------
    >>> import scmoe
    >>> mdata = scmoe.datasets.bmmc_cite()
    >>> mdata.shape
    (600, 1134)
    """
    with resources.as_file(resources.files("scmoe.datasets") / "files" / "bmmc_cite.h5mu") as path:
        mdata = read(path)
    types = mdata.obs["cell_type"].astype(str)
    mdata.obs["lineage"] = pd.Categorical(_first_match(types, LINEAGES), categories=list(LINEAGES))
    mdata.obs["coarse_type"] = pd.Categorical(_first_match(types, COARSE_TYPES))
    return mdata


def _first_match(types: pd.Series, patterns: Mapping[str, str]) -> np.ndarray:
    """The name of the first pattern that fits; types that none fits keep theirs."""
    matches = [types.str.contains(pattern).to_numpy() for pattern in patterns.values()]
    return np.select(matches, list(patterns), types.to_numpy(object))
