"""Matrix Market files with the names of cells and features beside them, as tools of counting write them."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import anndata
import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from scmoe._keys import SPLICING
from scmoe._log import logger
from scmoe.datasets._feature_types import COLUMN
from scmoe.datasets._format import MATRIX_ENDINGS, FormatError

SUFFIXES = ("", ".gz")
PEAKS = "peaks.bed"
"""Where Cell Ranger ATAC names the features: three columns, and no names."""
ALEVIN_ENDINGS = ("", "-U", "-A")
"""Of the names of alevin-fry's columns, in the order of `SPLICING`."""


class Layout(NamedTuple):
    """How a tool names its files, behind what all names of a sample begin with, and how the matrix lies."""

    matrices: tuple[str, ...]
    """One matrix, or those of spliced, unspliced and ambiguous molecules."""
    cells: str
    features: tuple[str, ...]
    """The first that is there."""
    is_by_cell: bool
    """Whether a row is a cell."""


CELL_RANGER = Layout(("matrix.mtx",), "barcodes.tsv", ("features.tsv", "genes.tsv", PEAKS), False)
"""Cell Ranger, Cell Ranger ATAC, STARsolo, kb ``--cellranger``, BD Rhapsody, DropletUtils."""
ALEVIN_FRY = Layout(("quants_mat.mtx",), "quants_mat_rows.txt", ("quants_mat_cols.txt",), True)
LAYOUTS = (
    CELL_RANGER,
    Layout(("spliced.mtx", "unspliced.mtx", "ambiguous.mtx"), "barcodes.tsv", ("features.tsv",), False),  # STARsolo
    ALEVIN_FRY,
    Layout(("cells_x_genes.mtx",), "cells_x_genes.barcodes.txt", ("cells_x_genes.genes.txt",), True),  # kallisto
    Layout(
        tuple(f"cells_x_genes.{part}.mtx" for part in ("mature", "nascent", "ambiguous")),
        "cells_x_genes.barcodes.txt",
        ("cells_x_genes.genes.txt",),
        True,
    ),
    Layout(("cells_x_features.mtx",), "cells_x_features.barcodes.txt", ("cells_x_features.genes.txt",), True),
)
KALLISTO_NAMES = ".genes.names.txt"
"""Symbols of the identifiers in ``.genes.txt``, a line each."""


class Source(NamedTuple):
    """Matrices of a sample with what its names begin with, in a layout."""

    matrices: list[Path]
    prefix: str
    layout: Layout


def read_matrix_market(path: Path) -> AnnData:
    """Read a matrix with the names beside it.

    All names may begin with that of a sample, as in ``GSM1_matrix.mtx.gz``. Spliced, unspliced and ambiguous molecules
    are added up, and stay in layers.

    Parameters
    ----------
    path
        A folder with one sample in one of the `LAYOUTS`, or a file ``.mtx`` or ``.mtx.gz``.
    """
    source = _of_folder(path) if path.is_dir() else _of_file(path)
    folder, layout = source.matrices[0].parent, source.layout
    cells = _table(folder, source.prefix, (layout.cells,))[0].to_numpy()
    var = _features(folder, source.prefix, layout)
    if layout is ALEVIN_FRY and _is_divided(var.index):
        matrix = _oriented(source.matrices[0], layout, len(cells), len(var))
        n = len(var) // len(SPLICING)
        return _with_parts([matrix[:, i * n : (i + 1) * n] for i in range(len(SPLICING))], cells, var.iloc[:n])
    matrices = [_oriented(matrix, layout, len(cells), len(var)) for matrix in source.matrices]
    if len(matrices) > 1:
        return _with_parts(matrices, cells, var)
    return AnnData(matrices[0], obs=pd.DataFrame(index=cells), var=var)


def _sources(folder: Path) -> Iterator[Source]:
    """All samples of a folder, sorted by name."""
    names = {entry.name.removesuffix(".gz"): entry for entry in sorted(folder.iterdir())}
    for name in names:
        for layout in LAYOUTS:
            prefix = name.removesuffix(layout.matrices[0])
            whole = [names.get(f"{prefix}{matrix}") for matrix in layout.matrices]
            if name.endswith(layout.matrices[0]) and None not in whole and f"{prefix}{layout.cells}" in names:
                yield Source([entry for entry in whole if entry is not None], prefix, layout)


def _of_folder(folder: Path) -> Source:
    sources = list(_sources(folder))
    matrices = [entry for entry in sorted(folder.iterdir()) if entry.name.endswith(MATRIX_ENDINGS)]
    usual = [matrix for matrix in matrices if matrix.name.removesuffix(".gz").endswith(CELL_RANGER.matrices[0])]
    first = max([source.matrices[0] for source in sources], usual, key=len)
    if len(first) > 1:
        raise FormatError(
            f"{folder} holds {len(first)} matrices: {', '.join(matrix.name for matrix in first[:5])}. Read them one by "
            f"one, beginning with {first[0]}."
        )
    if not sources:
        return _of_file(matrices[0])
    if others := [matrix.name for matrix in matrices if matrix not in sources[0].matrices]:
        logger.info("%s: not read: %s. Name the file to read it", folder.name, ", ".join(others))
    return sources[0]


def _of_file(path: Path) -> Source:
    """A matrix by itself, of the sample whose names stand beside it."""
    near = [source for source in _sources(path.parent) if path.name.startswith(source.prefix)]
    if near:
        return max(near, key=lambda source: len(source.prefix))._replace(matrices=[path])
    name, usual = path.name.removesuffix(".gz"), CELL_RANGER.matrices[0]
    return Source([path], name.removesuffix(usual) if name.endswith(usual) else "", CELL_RANGER)


def _oriented(path: Path, layout: Layout, n_cells: int, n_features: int) -> sparse.csr_matrix:
    """The values, cells x features; as the layout says, unless the shape says that someone wrote it the other way."""
    matrix = anndata.io.read_mtx(path).X
    matrix = matrix if layout.is_by_cell else matrix.T
    if matrix.shape == (n_features, n_cells) != (n_cells, n_features):
        logger.info("%s: rows and columns are the other way round than usual, by the number of names", path.name)
        matrix = matrix.T
    if matrix.shape != (n_cells, n_features):
        raise FormatError(
            f"{path.parent} does not fit together: {path.name} is of {matrix.shape[1]} features x {matrix.shape[0]} "
            f"cells, beside {n_features} features and {n_cells} cells by name. Copy all files again from one run."
        )
    return matrix.tocsr()


def _features(folder: Path, prefix: str, layout: Layout) -> pd.DataFrame:
    """Names of the features, with identifiers and types as far as the files say them."""
    table = _table(folder, prefix, layout.features)
    if layout is CELL_RANGER and table.attrs["name"].endswith(PEAKS):
        names = table[0] + ":" + table[1] + "-" + table[2]
        return pd.DataFrame({COLUMN: "Peaks"}, index=names.to_numpy())
    symbols = table[1] if 1 in table else table[0]
    listed = folder / f"{prefix}{layout.cells.removesuffix('.barcodes.txt')}{KALLISTO_NAMES}"
    if listed.is_file():
        lines = pd.Series(listed.read_text(encoding="utf-8").splitlines())
        symbols = lines.where(lines.str.strip() != "", table[0]) if len(lines) == len(table) else symbols
    var = pd.DataFrame({"gene_ids": table[0].to_numpy()}, index=symbols.to_numpy())
    if 2 in table:
        var[COLUMN] = table[2].to_numpy()
    return var


def _is_divided(names: pd.Index) -> bool:
    """Whether columns of alevin-fry are those of spliced, then unspliced, then ambiguous molecules."""
    n, rest = divmod(len(names), len(SPLICING))
    genes = names[:n].astype(str)
    return rest == 0 and n > 0 and list(names) == [f"{gene}{end}" for end in ALEVIN_ENDINGS for gene in genes]


def _with_parts(parts: list[sparse.csr_matrix], cells: np.ndarray, var: pd.DataFrame) -> AnnData:
    logger.info("%s molecules are added up; each stays in a layer", ", ".join(SPLICING))
    total = sparse.csr_matrix(sum(parts[1:], start=parts[0]))
    return AnnData(total, obs=pd.DataFrame(index=cells), var=var, layers=dict(zip(SPLICING, parts, strict=True)))


def _table(folder: Path, prefix: str, names: tuple[str, ...]) -> pd.DataFrame:
    files = [folder / f"{prefix}{name}{suffix}" for name in names for suffix in SUFFIXES]
    file = next((file for file in files if file.is_file()), None)
    if file is None:
        raise FormatError(f"{folder} lacks {prefix}{' or '.join(names)} (.gz or not), which belongs to the matrix.")
    table = pd.read_csv(file, sep="\t", header=None, dtype=str, keep_default_na=False)
    table.attrs["name"] = file.name.removesuffix(".gz")
    return table
