"""Which genes of a data set a vocabulary knows."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from scmoe._check import Matrix
from scmoe.tokens._names import ensembl_species, some

if TYPE_CHECKING:
    from scmoe.tokens._vocabulary import Vocabulary


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

    vocabulary: "Vocabulary"
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
            Cells x vocabulary, float32; genes in ascending order, no stored zeros. Columns of `missing` genes are empty.

        Raises
        ------
        ValueError
            The number of genes is not that of the data.
        """
        if matrix.shape[1] != len(self.var_names):
            raise ValueError(f"Expected {len(self.var_names)} genes as matched, found {matrix.shape[1]} in the matrix.")
        counts = sparse.csr_matrix(matrix)
        position = self.position[counts.indices]
        kept = (position >= 0) & (counts.data != 0)
        indptr = np.concatenate([[0], np.cumsum(kept)])[counts.indptr]
        arranged = sparse.csr_matrix(
            (counts.data[kept].astype(np.float32), position[kept].astype(np.int32), indptr),
            shape=(counts.shape[0], len(self.vocabulary)),
        )
        if not arranged.has_sorted_indices:
            arranged = arranged.tocsc().tocsr()  # sorts each row, in linear time
        arranged.sum_duplicates()
        return arranged


def match_genes(vocabulary: "Vocabulary", var_names: Iterable[str], min_share: float) -> Match:
    """Find the genes of a data set in a vocabulary, see `Vocabulary.match`."""
    names = tuple(map(str, var_names))
    match = Match(vocabulary, names, vocabulary.positions(names))
    if match.n_matched == 0 or match.share < min_share:
        known = vocabulary.names
        raise ValueError(
            f"{match.n_matched} genes of the data are in the vocabulary ({len(names)} and {len(known)} genes); expected at "
            f"least {min_share:.0%} of the smaller number. The data have {some(names)}; the vocabulary has {some(known)}. "
            f"{_reason(match)}"
        )
    return match


def _reason(match: Match) -> str:
    """Why genes of the data are not found, as far as their names tell, and what to do."""
    here, there = ensembl_species(match.var_names), ensembl_species(match.vocabulary.names)
    if here and there and not here & there:
        return (
            f"These are Ensembl identifiers of different species (ENS{min(here)}G and ENS{min(there)}G). Use a vocabulary "
            "of the species of the data, or map genes to their orthologs first."
        )
    if 2 * len(match.differ_in_case) > len(match.unmatched):
        return (
            "Most differ only in upper and lower case, as symbols of human (ACTB) and mouse (Actb) do: the vocabulary seems "
            "to be of another species. Use one of the species of the data, or map genes to their orthologs first."
        )
    if bool(here) != bool(there):
        kinds = ("Ensembl identifiers", "symbols")[:: 1 if here else -1]
        return (
            f"The data seem to hold {kinds[0]}, and the vocabulary {kinds[1]}. Name the column of adata.var that holds "
            f"{kinds[1]} (column=), or give the vocabulary aliases."
        )
    return "Check that the names are genes; if so many are meant to be left out, pass a lower min_share."
