"""A pretrained encoder for the gene tokens of an `SCMOE`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from scmoe._log import logger
from scmoe.data._setup import Setup
from scmoe.model.genes._xtrimogene import XTRIMOGENE
from scmoe.nn._network import Network
from scmoe.nn.genes._config import encoder_config
from scmoe.nn.genes._tokenizer import GeneTokenizer
from scmoe.tokens._rank import RankTokenizer


def read_pretrained(path: str | Path, network_kwargs: Mapping[str, Any]) -> XTRIMOGENE:
    """The gene model in a folder; a ValueError if its encoder is not asked for or of no use."""
    if network_kwargs.get("tokenizer") != "genes":
        raise ValueError("A pretrained encoder makes gene tokens. Pass tokenizer='genes' with pretrained=.")
    if "gene_encoder" in network_kwargs:
        raise ValueError("The size of a pretrained encoder is its own. Leave gene_encoder or pretrained out.")
    model = XTRIMOGENE.load(path)
    encoder_config(vars(model.config))
    return model


def take_over(network: Network, setup: Setup, pretrained: XTRIMOGENE) -> None:
    """Copy a pretrained encoder into all gene tokenizers; genes are matched by name.

    Genes that it does not know start from the mean of those that it does; published encoders do not read them.
    """
    state, table = pretrained.module.state_dict(), pretrained.module.gene.detach()
    for name, tokenizer in zip(setup.modalities, network.tokenizers, strict=True):
        if not isinstance(tokenizer, GeneTokenizer):
            continue
        genes = setup.feature_names[name]
        try:
            place = pretrained.setup.vocabulary.match(genes).position
        except ValueError as error:
            raise ValueError(f"The genes of {name!r} do not fit the pretrained encoder. {error}") from error
        known = torch.from_numpy(place >= 0)
        rows = table[torch.from_numpy(place)]
        rows[~known] = rows[known].mean(0)
        own = tokenizer.encoder.state_dict()
        tokenizer.encoder.load_state_dict({key: state[key] for key in own} | {"gene": rows})
        tokenizer.is_pretrained = True
        if isinstance(pretrained.tokenizer, RankTokenizer) and pretrained.tokenizer.medians is not None:
            medians = torch.from_numpy(pretrained.tokenizer.medians[place])
            known &= medians.isfinite()
            tokenizer.medians.copy_(torch.where(known, medians, 1.0))
        if pretrained.config.form is not None:
            tokenizer.known.copy_(known)
        logger.info(
            "%s: the pretrained encoder knows %d of %d genes; the other %d %s.",
            name,
            int(known.sum()),
            len(genes),
            int((~known).sum()),
            "start from the mean of these" if pretrained.config.form is None else "are not read",
        )
