"""`read_published`: gene and value embeddings of published models, from files that the user has."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scmoe._log import logger
from scmoe.arguments._checked import checks_arguments
from scmoe.model.genes.published._kinds import (
    LAYOUTS,
    AutoDiscretizationWeights,
    check_tensors,
    gene_table,
    sizes,
    value_table,
)
from scmoe.model.genes.published._read import read_dictionary, read_gene_list, read_tensors
from scmoe.tokens._names import some
from scmoe.tokens._vocabulary import MIN_SHARE, Vocabulary


@dataclass(frozen=True, kw_only=True)
class PublishedWeights:
    """What of a published model another one can start from; made by `scmoe.model.read_published`.

    Parameters
    ----------
    kind
        "scgpt", "geneformer", "scbert" or "scfoundation".
    genes
        Names in the order of the rows, as the model has them: symbols, or Ensembl identifiers (Geneformer).
    gene_embedding
        (genes, width), float32. scGPT: rows after the layer normalization that follows its table, as its network
        reads them. Geneformer, scFoundation: rows of the learned table. scBERT: the gene2vec vectors.
    value_embedding
        scFoundation: the parameters of its auto-discretization. scBERT: (7, width), rows for the values 0 to 5 and
        for masked places. None for Geneformer, which has none, and for scGPT, whose value encoder is a small network
        and not a table.
    special
        Names of the rows left out, which are no genes.
    config
        ``width``, ``n_layers`` and ``n_parameters``, as the tensors tell.
    medians
        (genes,): Geneformer's medians, NaN where its dictionary has none; None if they were not given.
    """

    kind: str
    genes: tuple[str, ...]
    gene_embedding: NDArray[np.float32]
    value_embedding: AutoDiscretizationWeights | NDArray[np.float32] | None
    special: tuple[str, ...]
    config: dict[str, int]
    medians: NDArray[np.float64] | None = None

    @checks_arguments
    def map_to(
        self, vocabulary_genes: Vocabulary | Sequence[str], min_share: float = MIN_SHARE
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Rows in the order of another vocabulary, by name; the share of genes found is logged.

        Parameters
        ----------
        vocabulary_genes
            Names of the same sort as `genes`, symbols or Ensembl identifiers (with or without a version); or a
            vocabulary, whose aliases are looked for too (`Vocabulary.from_anndata(adata, column="gene_ids")`).
        min_share
            Least number of genes found, as a share of the smaller of both sets.

        Returns
        -------
        (vocabulary genes, width) with NaN rows for genes that the published model lacks, and whether it has each.

        Raises
        ------
        ValueError
            It has none of them, or fewer than `min_share`.
        """
        vocabulary = (
            vocabulary_genes if isinstance(vocabulary_genes, Vocabulary) else Vocabulary(tuple(vocabulary_genes))
        )
        place = vocabulary.positions(self.genes)
        row = np.full(len(vocabulary), -1)
        row[place[place >= 0][::-1]] = np.flatnonzero(place >= 0)[::-1]  # of several rows for a gene, the first
        matched = row >= 0
        if matched.sum() < max(min_share * min(len(matched), len(self.genes)), 1):
            raise ValueError(
                f"{self.kind} has {matched.sum()} of the {len(matched)} genes of the vocabulary; expected at least "
                f"{min_share:.0%} of the smaller number. It has {some(self.genes)}; the vocabulary has "
                f"{some(vocabulary.names)}. Both must be symbols or both Ensembl identifiers, of the same species: "
                "pass a Vocabulary with aliases, or a lower min_share."
            )
        logger.info("%s has %d of the %d genes (%.1f %%)", self.kind, matched.sum(), len(matched), 100 * matched.mean())
        return np.where(matched[:, None], self.gene_embedding[row], np.float32(np.nan)), matched


@checks_arguments
def read_published(
    path: str | os.PathLike[str],
    kind: str,
    *,
    genes: str | os.PathLike[str] | Sequence[str] | None = None,
    medians: str | os.PathLike[str] | None = None,
) -> PublishedWeights:
    """Read gene and value embeddings from the weights of a published model, without running what a file may hold.

    Nothing is downloaded: the weights of these models have licenses of their own. Files are read as safetensors or as
    torch checkpoints restricted to tensors and plain values (``weights_only=True``). Dictionaries of genes are read as
    JSON. A pickle is refused, with the command that converts it.

    Parameters
    ----------
    path
        The weights file, or the folder with it: ``best_model.pt`` (scGPT), ``model.safetensors`` or
        ``pytorch_model.bin`` (Geneformer), ``panglao_pretrain.pth`` (scBERT), ``models.ckpt`` (scFoundation, of which
        the part "gene" is read).
    kind
        "scgpt", "geneformer", "scbert" or "scfoundation".
    genes
        What names the rows. scGPT and Geneformer: JSON file from genes to rows; default ``vocab.json`` or
        ``token_dictionary.json`` beside the weights. scBERT and scFoundation, required: the names in order, or a
        tab-separated file with the column ``gene_name``, such as scFoundation's index of 19 264 genes.
    medians
        JSON file from Geneformer's genes to their medians over its corpus.

    Returns
    -------
    PublishedWeights
        Pass ``map_to(genes)[0]`` on to start a model from these genes. Value embeddings and medians are for your own
        use: they belong to networks of another width and to other tokens.

    Raises
    ------
    FileNotFoundError
        A file is missing.
    ValueError
        The file is of another model, damaged, cut short or a pickle that could run code; or the number of genes is
        not that of the rows.

    Notes
    -----
    Layouts as in the code of the models at the time of writing: scGPT, Geneformer (30 M cells and later), scBERT and
    scFoundation. Prefixes that parallel training adds to the names of tensors are removed.
    """
    if kind not in LAYOUTS:
        raise ValueError(f"kind must be one of {', '.join(LAYOUTS)}; found {kind!r}.")
    layout, file = LAYOUTS[kind], _weights_file(Path(path).expanduser(), kind)
    stored = read_tensors(file)
    check_tensors(kind, stored.tensors, file.name)
    table = gene_table(kind, stored.tensors)
    if layout.dictionary is None:
        if genes is None:
            raise ValueError(
                f"{kind} does not store the names of its genes: pass genes=, their names in order or a table."
            )
        names = [*read_gene_list(genes), *layout.special]
    else:
        dictionary = read_dictionary(file.parent / layout.dictionary if genes is None else _as_path(genes, kind))
        names = _ordered(dictionary, layout.special, len(table))
    if len(names) != len(table):
        n = len(layout.special)
        raise ValueError(
            f"{file.name} has rows for {len(table) - n} genes and {n} special tokens; found the names of "
            f"{len(names) - n} genes. Take the list of genes that belongs to these weights."
        )
    is_gene = ~np.isin(names, layout.special)
    gene_names = tuple(np.array(names, dtype=object)[is_gene])
    return PublishedWeights(
        kind=kind,
        genes=gene_names,
        gene_embedding=table[is_gene],
        value_embedding=value_table(kind, stored.tensors, stored.settings),
        special=tuple(name for name in names if name in layout.special),
        config=sizes(kind, stored.tensors),
        medians=None if medians is None else _medians(read_dictionary(Path(medians).expanduser()), gene_names),
    )


def _weights_file(path: Path, kind: str) -> Path:
    candidates = [path / name for name in LAYOUTS[kind].files] if path.is_dir() else [path]
    file = next((file for file in candidates if file.exists()), None)
    if file is None:
        names = " or ".join(LAYOUTS[kind].files)
        raise FileNotFoundError(
            f"There are no weights of {kind} at {path}. Expected a weights file, or a folder with {names}."
        )
    return file


def _as_path(genes: Any, kind: str) -> Path:
    if not isinstance(genes, (str, os.PathLike)):
        raise ValueError(
            f"For {kind}, genes= must name a JSON file from genes to rows; found a {type(genes).__name__}."
        )
    return Path(genes).expanduser()


def _ordered(rows: dict[str, Any], special: Sequence[str], n_rows: int) -> list[str]:
    """Names by their row. Special tokens that the dictionary lacks come last, in the order in which models add them."""
    by_row = {row: name for name, row in rows.items()}
    if set(by_row) != set(range(len(rows))):
        wrong = next(name for name, row in rows.items() if row not in range(len(rows)) or by_row[row] != name)
        raise ValueError(
            f"The dictionary of genes must number its {len(rows)} entries from 0, each once; found {rows[wrong]!r} "
            f"for {wrong!r}. Take the dictionary that belongs to these weights."
        )
    names = [by_row[row] for row in range(len(rows))]
    missing = [token for token in special if token not in rows]
    return names + missing[: max(n_rows - len(names), 0)]


def _medians(dictionary: dict[str, Any], genes: Sequence[str]) -> NDArray[np.float64]:
    medians = pd.Series(dictionary, dtype=float).reindex(list(genes)).to_numpy()
    if np.isnan(medians).all():
        raise ValueError("medians= has none of the genes of these weights. Take the medians that belong to them.")
    return medians
