from ._bins import BinsTokenizer
from ._continuous import ContinuousTokenizer
from ._counts import Cells, read_cells, read_counts
from ._files import read_files
from ._integer import IntegerTokenizer
from ._make import load_tokenizer, make_tokenizer, tokenizer_from_state
from ._masking import Masked, MaskingPolicy
from ._rank import RankTokenizer
from ._tokenizer import Tokenizer
from ._tokens import Tokens
from ._vocabulary import Match, Vocabulary

__all__ = [
    "BinsTokenizer",
    "Cells",
    "ContinuousTokenizer",
    "IntegerTokenizer",
    "Masked",
    "MaskingPolicy",
    "Match",
    "RankTokenizer",
    "Tokenizer",
    "Tokens",
    "Vocabulary",
    "load_tokenizer",
    "make_tokenizer",
    "read_cells",
    "read_counts",
    "read_files",
    "tokenizer_from_state",
]
