"""What the checkpoint of a published gene model says of its form, besides layers, heads and width."""

from dataclasses import dataclass
from typing import Literal

from scmoe.arguments._checked import checks_fields

Kind = Literal["scgpt", "geneformer", "scbert", "scfoundation"]
HEAD_WIDTH = 64
"""Width of a head in all sizes that were published."""


@checks_fields
@dataclass(frozen=True, kw_only=True)
class PublishedForm:
    """Form of the encoder of a published gene model; `scmoe.model.XTRIMOGENE.from_published` reads it from the files.

    Parameters
    ----------
    kind
        Which model.
    hidden
        Width of the feed-forward layers.
    head_width
        Width of a head; scBERT's heads are together wider than its states.
    max_length
        Most genes of a cell that are read: those of the highest ranks (Geneformer), or a random subset (scGPT). None:
        all.
    special_tokens
        Whether there is a token before and one behind the genes (the second series of Geneformer).
    cls_value
        Value of scGPT's token of the cell.
    alpha
        Weight of the skip connection in the value embedding of scFoundation.
    """

    kind: Kind
    hidden: int
    head_width: int = HEAD_WIDTH
    max_length: int | None = None
    special_tokens: bool = False
    cls_value: float = -2.0
    alpha: float = 1.0
