"""`read_published`: gene and value embeddings of published models, from files that the user has."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scmoe._log import logger
from scmoe.arguments._checked import checks_arguments
from scmoe.model.genes.published._checkpoint import read_checkpoint
from scmoe.model.genes.published._kinds import AutoDiscretizationWeights, gene_table, sizes, value_table
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
        use: they belong to networks of another width and to other tokens. For the whole encoder see
        `scmoe.model.XTRIMOGENE.from_published`.

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

    Examples
    --------
    >>> weights = scmoe.model.read_published("scgpt_human", "scgpt")  # doctest: +SKIP
    """
    checkpoint = read_checkpoint(path, kind, genes)
    tensors = checkpoint.tensors
    return PublishedWeights(
        kind=kind,
        genes=checkpoint.genes,
        gene_embedding=gene_table(kind, tensors)[checkpoint.is_gene],
        value_embedding=value_table(kind, tensors, checkpoint.settings),
        special=checkpoint.special,
        config=sizes(kind, tensors),
        medians=None if medians is None else checkpoint.medians(medians),
    )
