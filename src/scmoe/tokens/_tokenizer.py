"""What all tokenizers have in common."""

import dataclasses
import json
import os
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from scipy import sparse

from scmoe.arguments._checked import checks_arguments
from scmoe.io._files import atomic_path
from scmoe.tokens._rows import check_cells
from scmoe.tokens._tokens import Tokens

TARGET_SUM = 1e4
"""To what the total of a cell is scaled, in every scheme."""


@dataclass(kw_only=True, eq=False)
class Tokenizer(ABC):
    """Turns the counts of cells into tokens; use one of the four kinds, see `make_tokenizer`.

    Parameters
    ----------
    n_genes
        Number of genes of the vocabulary; set by `fit`.
    """

    kind: ClassVar[str] = "none"
    n_genes: int | None = None

    @property
    @abstractmethod
    def n_codes(self) -> int | None:
        """Values are whole numbers below this one, and 0 stands for an absent gene; None: values are real numbers."""

    @checks_arguments
    def fit(self, counts: sparse.csr_matrix, totals: np.ndarray | None = None) -> Self:
        """Learn what the scheme needs from training cells.

        Parameters
        ----------
        counts
            Training cells x vocabulary, as `read_cells` gives them.
        totals
            (n_cells,) total counts over all genes measured; by default those over the vocabulary.

        Returns
        -------
        Tokenizer
            The tokenizer itself.

        Raises
        ------
        TypeError, ValueError
            `counts` is not a sparse matrix, holds negative, NaN or infinite values, or `totals` does not fit it.
        """
        counts, totals = check_cells(counts, totals, None)
        self.n_genes = int(counts.shape[1])
        self._learn(counts, totals)
        return self

    @checks_arguments
    def transform(self, counts: sparse.csr_matrix, totals: np.ndarray | None = None) -> Tokens:
        """Turn the counts of cells into tokens; the same counts give the same tokens, whichever cells are beside them.

        Parameters
        ----------
        counts
            Cells x vocabulary, as `read_cells` gives them; not changed.
        totals
            As in `fit`.

        Returns
        -------
        Tokens
            The tokens of each cell; none for a cell without counts.

        Raises
        ------
        TypeError, ValueError
            As in `fit`; the number of genes is not that of the cells fitted on; the scheme has to be fitted and is not.
        """
        return self._encode(*check_cells(counts, totals, self.n_genes))

    def _learn(self, counts: sparse.csr_matrix, totals: np.ndarray) -> None:  # noqa: B027
        """Learn from checked counts; most schemes have nothing to learn."""

    @abstractmethod
    def _encode(self, counts: sparse.csr_matrix, totals: np.ndarray) -> Tokens:
        """Tokens of checked counts."""

    def to_state(self) -> dict[str, Any]:
        """Give all that makes the tokenizer, for `tokenizer_from_state`.

        Returns
        -------
        dict
            ``"kind"``, then settings (numbers and text) and what was learned (arrays).
        """
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {"kind": self.kind, **{name: value for name, value in values.items() if value is not None}}

    @checks_arguments
    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the tokenizer to one ``.npz`` file, without pickle; `load_tokenizer` reads it.

        Parameters
        ----------
        path
            The file, which is replaced if it exists.

        Raises
        ------
        WriteError
            The file could not be written; an older one is kept.
        """
        state = self.to_state()
        arrays = {name: value for name, value in state.items() if isinstance(value, np.ndarray)}
        settings = {name: value for name, value in state.items() if name not in arrays}
        with atomic_path(path) as temporary, open(temporary, "wb") as file:
            np.savez(file, settings=np.array(json.dumps(settings)), **arrays)  # type: ignore[arg-type]
