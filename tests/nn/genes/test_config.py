"""Settings and sizes of the gene network."""

import pytest
import torch

from scmoe.nn.genes._config import PRESETS, gene_config
from scmoe.nn.genes._network import GeneNetwork


@pytest.mark.parametrize(("preset", "millions"), [("tiny", 1.4), ("3m", 6.0), ("10m", 10.3), ("100m", 120.0)])
def test_presets_have_about_their_size(preset, millions):
    with torch.device("meta"):
        network = GeneNetwork(19_264, None, gene_config(preset, {}))
    size = sum(p.numel() for p in network.parameters()) / 1e6
    assert size == pytest.approx(millions, rel=0.1)
    assert set(PRESETS) == {"tiny", "3m", "10m", "100m"}


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"encoder_width": 30, "encoder_heads": 4}, "encoder_width=30 must be a multiple of encoder_heads=4"),
        ({"decoder_width": 8, "decoder_heads": 0}, "decoder_heads must be a whole number of at least 1; found 0"),
        ({"top_k": 2}, "top_k=2 must be at most n_experts=1"),
        ({"n_bins": 0}, "n_bins must be a whole number of at least 1; found 0"),
        ({"dropout": 1.0}, r"dropout must be a number of at least 0 and below 1; found 1.0"),
        ({"tokenizer": "words"}, "tokenizer"),
        ({"tokenizer": "rank", "value_embedding": "up"}, "'up' is for continuous values.*Leave value_embedding out"),
        ({"tokenizer": "bins", "depth_tokens": True}, "depth_tokens are continuous values, and tokenizer='bins'"),
    ],
)
def test_settings_that_contradict_each_other(settings, match):
    with pytest.raises(ValueError, match=match):
        gene_config("tiny", settings)


def test_unknown_presets_and_keywords_are_named():
    with pytest.raises(ValueError, match="preset must be one of 'tiny', '3m', '10m', '100m'; found 'huge'"):
        gene_config("huge", {})
    with pytest.raises(TypeError, match="n_heads"):
        gene_config("tiny", {"n_heads": 2})
