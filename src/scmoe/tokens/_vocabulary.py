"""The genes that a model knows, in a fixed order, and how the genes of a data set fit them."""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from scmoe._log import logger
from scmoe._matrix import Matrix, row_blocks, value_blocks
from scmoe.arguments._checked import checks_arguments, checks_fields
from scmoe.io._files import atomic_path
from scmoe.io._mapped import folder_of, stacked_beside
from scmoe.tokens._gene_list import read_json, read_table, refuse_pickle
from scmoe.tokens._mismatch import mismatch_reason
from scmoe.tokens._names import gene_names, some, unique_names, without_version

MIN_SHARE = 0.5
"""Of the smaller set of genes: a few thousand variable genes fit a large vocabulary, and all genes a small one."""


@checks_fields
@dataclass(frozen=True, eq=False)
class Vocabulary:
    """Names of genes in a fixed order, and other identifiers of them.

    Parameters
    ----------
    names
        The genes, each once; their places are the columns of count matrices and the gene numbers of tokens.
    aliases
        Other identifier (Ensembl, former symbol) to the name of the gene.

    Raises
    ------
    ValueError
        There is no name, one is empty or occurs twice, or an alias is of a gene that is not among the names.
    """

    names: tuple[str, ...]
    aliases: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check the names."""
        object.__setattr__(self, "names", tuple(map(str, self.names)))
        index = pd.Index(self.names)
        if not len(index):
            raise ValueError("Expected the names of genes, found none.")
        if "" in self.names:
            raise ValueError(
                f"Expected a name for each gene, found none for gene {self.names.index('') + 1}. Leave it out."
            )
        if not index.is_unique:
            raise ValueError(f"Expected each gene once, found {index[index.duplicated()][0]!r} twice. Remove one.")
        for alias, name in self.aliases.items():
            if name not in index:
                raise ValueError(f"{alias!r} is said to be the gene {name!r}, which is not among the names.")

    def __len__(self) -> int:
        return len(self.names)

    @classmethod
    @checks_arguments
    def from_anndata(cls, adata: AnnData, column: str | None = None) -> Self:
        """Take the genes of a data set.

        Parameters
        ----------
        adata
            Its `var_names` are the names; of those that occur more than once, the first place counts.
        column
            Column of ``adata.var`` with other identifiers (``"gene_ids"`` in files of Cell Ranger).

        Returns
        -------
        Vocabulary
            The genes in the order of the data.

        Raises
        ------
        KeyError
            There is no such column.
        """
        names = gene_names(adata)
        genes = unique_names(names)
        return cls(genes) if column is None else cls(genes, _aliases(gene_names(adata, column), names))

    @classmethod
    @checks_arguments
    def from_file(cls, path: str | os.PathLike[str], identifiers: str | None = None) -> Self:
        """Read a gene list.

        Parameters
        ----------
        path
            ``.json``: what `save` wrote, a list of names, or names with their places (scGPT, Geneformer; special
            tokens such as ``<pad>`` are left out). ``.csv``, ``.tsv`` or ``.txt``: a table whose first column holds
            the names (scFoundation); its order counts. The first line is a header if it begins with what such columns
            are called ("gene_name", "symbol", "Gene stable ID", ...) or if `identifiers` is given; else it is a gene.
        identifiers
            Column of a table with other identifiers.

        Returns
        -------
        Vocabulary
            The genes in the order of the file, or by their places.

        Raises
        ------
        FileNotFoundError
            There is no such file.
        ValueError
            It is of another form.
        KeyError
            There is no such column.
        """
        path = Path(path).expanduser()
        if path.suffix.lower() == ".json":
            return cls(*read_json(path))
        if path.suffix.lower() in (".pkl", ".pickle"):
            refuse_pickle(path)
        if path.suffix.lower() not in (".csv", ".tsv", ".txt"):
            raise ValueError(f"Expected a gene list as .json, .csv, .tsv or .txt, found {path.name}.")
        separator = "," if path.suffix.lower() == ".csv" else "\t"
        table = read_table(path, separator, header=identifiers is not None)
        names = table.iloc[:, 0]
        if identifiers is None:
            return cls(tuple(names))
        if identifiers not in table:
            raise KeyError(f"{path.name} has no column {identifiers!r}; it has {list(table)}.")
        return cls(tuple(names), _aliases(table[identifiers], names))

    @checks_arguments
    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the vocabulary to a ``.json`` file, which `from_file` reads.

        Parameters
        ----------
        path
            The file, which is replaced if it exists.

        Raises
        ------
        WriteError
            The file could not be written; an older one is kept.
        """
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps({"names": self.names, "aliases": dict(self.aliases)}), encoding="utf-8")

    @checks_arguments
    def positions(self, names: Iterable[str]) -> np.ndarray:
        """Find genes by name, by alias or, for Ensembl identifiers, without the version.

        Parameters
        ----------
        names
            Names or other identifiers, n of them. Upper and lower case differ, as they do between human and mouse.

        Returns
        -------
        numpy.ndarray
            (n,) int64 place of each in the vocabulary, -1 if it is not there.
        """
        places = {name: place for place, name in enumerate(self.names)}
        # Names come before aliases, and both before what is left of either without its version.
        for alias, name in self.aliases.items():
            places.setdefault(alias, places[name])
        for name in list(places):
            places.setdefault(without_version(name), places[name])
        indices = (places.get(name, places.get(without_version(name), -1)) for name in map(str, names))
        return np.fromiter(indices, np.int64)

    @checks_arguments
    def match(self, var_names: Iterable[str], min_share: float = MIN_SHARE) -> "Match":
        """Find the genes of a data set.

        Names are compared as they are written, then with the aliases, then without the version of Ensembl identifiers
        (ENSG00000075624.17).

        Parameters
        ----------
        var_names
            Names or other identifiers of the data's genes. Several may stand for one gene: their counts are added.
        min_share
            Least number of matched genes, as a share of the smaller of both sets of genes.

        Returns
        -------
        Match
            Where each gene belongs, which genes are missing, and a report.

        Raises
        ------
        ValueError
            No gene is in the vocabulary, or fewer than `min_share`; the message says whether the species or the kind of
            identifier seems to differ.
        """
        names = tuple(map(str, var_names))
        match = Match(self, names, self.positions(names))
        if match.n_matched == 0 or match.share < min_share:
            raise ValueError(
                f"{match.n_matched} genes of the data are in the vocabulary ({len(names)} and {len(self)} genes); "
                f"expected at least {min_share:.0%} of the smaller number. The data have {some(names)}; the "
                f"vocabulary has {some(self.names)}. "
                f"{mismatch_reason(names, self.names, match.unmatched, match.differ_in_case)}"
            )
        return match


@dataclass(frozen=True, eq=False)
class Match:
    """How the genes of a data set fit a vocabulary; made by `Vocabulary.match`.

    Parameters
    ----------
    vocabulary
        The vocabulary.
    var_names
        The names of the data's genes; empty where one has none.
    position
        (genes of the data,) int64: place of each in the vocabulary, -1 if it is not there.
    """

    vocabulary: Vocabulary
    var_names: tuple[str, ...]
    position: np.ndarray

    @property
    def missing(self) -> np.ndarray:
        """(vocabulary,) bool: genes that the data lack; their counts are unknown, not zero."""
        return self._n_columns == 0

    @property
    def unmatched(self) -> list[str]:
        """Names of the data's genes that the vocabulary does not know; they are left out."""
        return [name for name, place in zip(self.var_names, self.position, strict=True) if place < 0 and name]

    @property
    def n_unnamed(self) -> int:
        """Genes of the data that have no name; they are left out."""
        return self.var_names.count("")

    @property
    def differ_in_case(self) -> list[str]:
        """Those of `unmatched` that the vocabulary knows in other upper and lower case."""
        known = {name.casefold() for name in (*self.vocabulary.names, *self.vocabulary.aliases)}
        return [name for name in self.unmatched if name.casefold() in known]

    @property
    def duplicated(self) -> list[str]:
        """Names of the vocabulary's genes that several genes of the data stand for; their counts are added."""
        return [self.vocabulary.names[place] for place in np.flatnonzero(self._n_columns > 1)]

    @property
    def share(self) -> float:
        """Matched genes as a share of the smaller of both sets."""
        return self.n_matched / min(len(self.vocabulary), max(len(set(self.var_names) - {""}), 1))

    @property
    def n_matched(self) -> int:
        """Number of genes of the vocabulary that the data have."""
        return int((~self.missing).sum())

    @property
    def _n_columns(self) -> np.ndarray:
        return np.bincount(self.position[self.position >= 0], minlength=len(self.vocabulary))

    def report(self) -> dict[str, Any]:
        """Give the numbers of genes, and the names of those left out or added up.

        Returns
        -------
        dict
            ``n_data``, ``n_vocabulary``, ``n_matched``, ``n_missing``, ``n_unnamed``, ``share``; ``unmatched``,
            ``differ_in_case``, ``duplicated`` (names).
        """
        return {
            "n_data": len(self.var_names),
            "n_vocabulary": len(self.vocabulary),
            "n_matched": self.n_matched,
            "n_missing": int(self.missing.sum()),
            "n_unnamed": self.n_unnamed,
            "share": self.share,
            "unmatched": self.unmatched,
            "differ_in_case": self.differ_in_case,
            "duplicated": self.duplicated,
        }

    def __str__(self) -> str:
        text = (
            f"{self.n_matched} of the vocabulary's {len(self.vocabulary)} genes are in the data, which have "
            f"{len(self.var_names)}"
        )
        if self.unmatched:
            text += (
                f"; {len(self.unmatched)} of the data are not in the vocabulary and left out: {some(self.unmatched)}"
            )
        if self.differ_in_case:
            text += f" ({len(self.differ_in_case)} differ only in case: {some(self.differ_in_case)})"
        if self.n_unnamed:
            text += f"; {self.n_unnamed} of the data have no name and are left out"
        if self.duplicated:
            text += f"; {len(self.duplicated)} occur more than once and are added up: {some(self.duplicated)}"
        if self.missing.any():
            text += f"; {int(self.missing.sum())} of the vocabulary are not in the data and count as unknown"
        return text + "."

    def apply(self, matrix: Matrix) -> sparse.csr_matrix:
        """Arrange counts by the vocabulary.

        Parameters
        ----------
        matrix
            Cells x genes of the data, dense or sparse; not changed, and never made dense.

        Returns
        -------
        scipy.sparse.csr_matrix
            Cells x vocabulary, float32; genes in ascending order, no stored zeros. Columns of `missing` genes are
            empty.

        Raises
        ------
        ValueError
            The number of genes is not that of the data.
        """
        if matrix.shape[1] != len(self.var_names):
            raise ValueError(f"Expected {len(self.var_names)} genes as matched, found {matrix.shape[1]} in the matrix.")
        counts = sparse.csr_matrix(matrix)
        if folder_of(counts) is None:
            return self._arranged(counts)
        if self._is_arranged(counts):
            return counts
        blocks = (self._arranged(counts[rows]) for rows in row_blocks(counts))
        return stacked_beside(blocks, len(self.vocabulary), np.float32, beside=counts)

    def _is_arranged(self, counts: sparse.csr_matrix) -> bool:
        """Whether counts on disk, which nothing can change, are what `apply` would write there once more."""
        in_order = counts.shape[1] == len(self.vocabulary) and (self.position == np.arange(len(self.position))).all()
        as_floats = counts.has_canonical_format and counts.dtype == np.float32
        return bool(in_order and as_floats and all((block != 0).all() for block in value_blocks(counts)))

    def _arranged(self, counts: sparse.csr_matrix) -> sparse.csr_matrix:
        position = self.position[counts.indices]
        mask = (position >= 0) & (counts.data != 0)
        indptr = np.concatenate([[0], np.cumsum(mask)])[counts.indptr]
        arranged = sparse.csr_matrix(
            (counts.data[mask].astype(np.float32), position[mask].astype(np.int32), indptr),
            shape=(counts.shape[0], len(self.vocabulary)),
        )
        if not arranged.has_sorted_indices:
            arranged = arranged.tocsc().tocsr()  # sorts each row, in linear time
        arranged.sum_duplicates()
        return arranged


def chosen_vocabulary(vocabulary: Vocabulary | None, adata: AnnData, column: str | None) -> Vocabulary:
    """The vocabulary that was given, or the names of the data's genes; a TypeError for what is none."""
    if vocabulary is None:
        return Vocabulary(unique_names(gene_names(adata, column)))
    if not isinstance(vocabulary, Vocabulary):
        raise TypeError(
            f"vocabulary must be a scmoe.tokens.Vocabulary; found a {type(vocabulary).__name__}. Make one of names, "
            "Vocabulary(names), or of a file, Vocabulary.from_file(path)."
        )
    return vocabulary


def _aliases(identifiers: Iterable[str], names: Iterable[str]) -> dict[str, str]:
    """Pair identifiers with names; one that is given to several genes is of use for none, and so is an empty one."""
    table = pd.DataFrame({"identifier": list(identifiers), "name": list(names)}).drop_duplicates()
    table = table[(table != "").all(axis=1)]
    unclear = table["identifier"].duplicated(keep=False)
    if unclear.any():
        logger.info(
            "%d identifiers belong to more than one gene and are not used, the first is %s.",
            table.loc[unclear, "identifier"].nunique(),
            table.loc[unclear, "identifier"].iloc[0],
        )
    table = table[~unclear]
    return dict(zip(table["identifier"], table["name"], strict=True))
