"""Tokenizers by the name of their kind."""

import json
import os
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

from scmoe.arguments._checked import checks_arguments
from scmoe.tokens._bins import BinsTokenizer
from scmoe.tokens._continuous import ContinuousTokenizer
from scmoe.tokens._integer import IntegerTokenizer
from scmoe.tokens._rank import RankTokenizer
from scmoe.tokens._tokenizer import Tokenizer

TOKENIZERS: dict[str, type[Tokenizer]] = {
    tokenizer.kind: tokenizer for tokenizer in (RankTokenizer, BinsTokenizer, IntegerTokenizer, ContinuousTokenizer)
}


@checks_arguments
def make_tokenizer(kind: str, **settings: Any) -> Tokenizer:
    """Make a tokenizer of one of the four kinds.

    Parameters
    ----------
    kind
        ``"rank"`` (Geneformer), ``"bins"`` (scGPT), ``"integer"`` (scBERT) or ``"continuous"`` (xTrimoGene,
        scFoundation).
    **settings
        Settings of the kind: ``limit`` of `RankTokenizer`; ``n_bins``, ``ties``, ``max_length`` and ``seed`` of
        `BinsTokenizer`; ``max_level`` of `IntegerTokenizer`.

    Returns
    -------
    Tokenizer
        Not fitted yet.

    Raises
    ------
    ValueError
        There is no such kind, or a value is out of range.
    TypeError
        The kind has no such setting.

    Examples
    --------
    >>> adata = scmoe.datasets.bmmc_cite()["rna"]
    >>> cells = scmoe.tokens.read_cells(adata)
    >>> tokenizer = scmoe.tokens.make_tokenizer("rank", limit=64)
    >>> tokenizer = tokenizer.fit(cells.counts)
    >>> tokens = tokenizer.transform(cells.counts[:5])
    """
    if kind not in TOKENIZERS:
        raise ValueError(f"There is no tokenizer {kind!r}; choose from {', '.join(map(repr, TOKENIZERS))}.")
    return TOKENIZERS[kind](**settings)


@checks_arguments
def tokenizer_from_state(state: Mapping[str, Any]) -> Tokenizer:
    """Make a tokenizer again from what `Tokenizer.to_state` gave.

    Parameters
    ----------
    state
        Kind, settings and arrays.

    Returns
    -------
    Tokenizer
        It gives the same tokens as the one that the state was taken from.

    Examples
    --------
    >>> adata = scmoe.datasets.bmmc_cite()["rna"]
    >>> cells = scmoe.tokens.read_cells(adata)
    >>> tokenizer = scmoe.tokens.make_tokenizer("rank", limit=64)
    >>> tokenizer = tokenizer.fit(cells.counts)
    >>> same = scmoe.tokens.tokenizer_from_state(tokenizer.to_state())
    """
    return make_tokenizer(**state)


@checks_arguments
def load_tokenizer(path: str | os.PathLike[str]) -> Tokenizer:
    """Read a tokenizer that `Tokenizer.save` wrote.

    Parameters
    ----------
    path
        The ``.npz`` file.

    Returns
    -------
    Tokenizer
        It gives the same tokens as the one saved.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        The file is damaged, or was not written by `Tokenizer.save`.

    Examples
    --------
    >>> adata = scmoe.datasets.bmmc_cite()["rna"]
    >>> cells = scmoe.tokens.read_cells(adata)
    >>> tokenizer = scmoe.tokens.make_tokenizer("rank", limit=64)
    >>> tokenizer = tokenizer.fit(cells.counts)
    >>> tokenizer.save("tokenizer.npz")
    >>> same = scmoe.tokens.load_tokenizer("tokenizer.npz")
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            state = {name: file[name] for name in file.files}
        settings = json.loads(str(state.pop("settings")))
        return tokenizer_from_state({**settings, **state})
    except (zipfile.BadZipFile, EOFError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(
            f"{path} does not hold a tokenizer, or is cut short ({error}). Expected a file written by Tokenizer.save."
        ) from error
