"""Counts as Cell Ranger and tools like it write them."""

from pathlib import Path

import anndata
import pandas as pd
from anndata import AnnData

from scmoe.datasets._format import MATRIX_FILES, FormatError, genomes_of

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


def read_matrix_market(folder: Path) -> AnnData:
    """Read a folder with ``matrix.mtx``, ``barcodes.tsv`` and ``features.tsv`` or ``genes.tsv``, compressed or not.

    All names may begin with the name of a sample, as in ``GSM1_matrix.mtx.gz``.
    """
    matrices = [entry for entry in sorted(folder.iterdir()) if entry.name.endswith(MATRIX_FILES)]
    if len(matrices) > 1:
        raise FormatError(
            f"{folder} holds {len(matrices)} matrices: {', '.join(entry.name for entry in matrices[:5])}. Move the "
            "three files of each sample to a folder of their own, and read these one by one."
        )
    prefix = matrices[0].name.removesuffix(".gz").removesuffix("matrix.mtx")
    features = _table(folder, prefix, ("features.tsv", "genes.tsv"))
    barcodes = _table(folder, prefix, ("barcodes.tsv",))
    matrix = anndata.io.read_mtx(matrices[0]).X.T.tocsr()
    if matrix.shape != (len(barcodes), len(features)):
        raise FormatError(
            f"{folder} does not fit together: {matrices[0].name} is of {matrix.shape[1]} features x "
            f"{matrix.shape[0]} cells, beside {len(features)} features and {len(barcodes)} cells by name. Copy all "
            "three files again from one run."
        )
    symbols = features[1] if 1 in features else features[0]
    var = pd.DataFrame({"gene_ids": features[0].to_numpy()}, index=symbols.to_numpy())
    if 2 in features:
        var["feature_types"] = features[2].to_numpy()
    return AnnData(matrix, obs=pd.DataFrame(index=barcodes[0].to_numpy()), var=var)


def _table(folder: Path, prefix: str, names: tuple[str, ...]) -> pd.DataFrame:
    files = [folder / f"{prefix}{name}{suffix}" for name in names for suffix in ("", ".gz")]
    file = next((file for file in files if file.is_file()), None)
    if file is None:
        raise FormatError(f"{folder} lacks {prefix}{names[0]} (or .gz), which belongs to {prefix}matrix.mtx.")
    return pd.read_csv(file, sep="\t", header=None, dtype=str, keep_default_na=False)


def _check_genome(path: Path, genome: str | None, genomes: list[str]) -> None:
    if genome is not None and genome not in genomes:
        raise FormatError(f"{path} has no genome {genome!r}; it has {', '.join(genomes) or 'none by name'}.")
