"""Counts as Cell Ranger and tools like it write them."""

from pathlib import Path

import pandas as pd
from anndata import AnnData

from scmoe.datasets._format import FormatError, genomes_of

GENOME = "genome"
"""Column of ``var`` with the genome that a feature is of; empty for antibodies."""


def read_10x_h5(path: Path, genome: str | None) -> AnnData:
    """Read an ``.h5`` of any version of Cell Ranger, or of CellBender, with all types of features.

    Parameters
    ----------
    path
        The file.
    genome
        Whose features to keep, beside those of no genome; None: of all genomes, and an error where the file (of
        Cell Ranger 1 or 2) holds the cells of each genome apart.
    """
    import scanpy  # takes seconds, and only this format needs it

    groups = genomes_of(path)
    if groups:
        if genome is None and len(groups) > 1:
            raise FormatError(
                f"{path} holds {len(groups)} genomes, each with cells of its own: {', '.join(groups)}. Say which to "
                f"read: genome={groups[0]!r}."
            )
        _check_genome(path, genome, groups)
        return scanpy.read_10x_h5(path, genome=genome or groups[0], gex_only=False)
    adata = scanpy.read_10x_h5(path, gex_only=False)
    if genome is None:
        return adata
    column = adata.var[GENOME].astype(str) if GENOME in adata.var else pd.Series("", index=adata.var_names)
    _check_genome(path, genome, [name for name in column.unique() if name])
    return adata[:, column.isin([genome, ""]).to_numpy()].copy()


def _check_genome(path: Path, genome: str | None, genomes: list[str]) -> None:
    if genome is not None and genome not in genomes:
        raise FormatError(f"{path} has no genome {genome!r}; it has {', '.join(genomes) or 'none by name'}.")
