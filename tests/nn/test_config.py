import re
from dataclasses import FrozenInstanceError

import pytest

from scmoe.nn._config import NetworkConfig


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"tokenizer": "patches"}, "tokenizer must be one of 'program', 'patch', 'genes'; found 'patches'"),
        ({"router": "own"}, "router must be one of 'shared', 'per_modality'; found 'own'"),
        ({"gate": "softmax"}, "gate must be one of .*; found 'softmax'"),
        ({"residual": None}, "residual must be one of .*; found None"),
        ({"n_tokens": 0}, "n_tokens must be a whole number of at least 1; found 0"),
        ({"n_layers": -1}, "n_layers must be a whole number of at least 1; found -1"),
        ({"n_experts": 0}, "n_experts must be a whole number of at least 1"),
        ({"top_k": 0}, "top_k must be a whole number of at least 1"),
        ({"decoder_hidden": 0}, "decoder_hidden must be a whole number of at least 1"),
        ({"dropout": 1.0}, r"dropout must be a number of at least 0 and below 1; found 1.0"),
        ({"feature_dropout": -0.1}, r"feature_dropout must be a number of at least 0 and below 1; found -0.1"),
        ({"top_k": 9, "n_experts": 8}, "top_k=9 experts per token .* but n_experts=8"),
        ({"n_hidden": 63, "n_heads": 4}, "n_hidden=63 must be a multiple of n_heads=4"),
        ({"n_clusters": 1}, "n_clusters must be None or at least 2; found 1"),
    ],
)
def test_bad_setting(settings, match):
    with pytest.raises((TypeError, ValueError), match=match):
        NetworkConfig(**settings)


@pytest.mark.parametrize(("n_hidden", "n_heads"), [(63, 4), (2, 4), (65, 64)])
def test_suggested_width_is_accepted(n_hidden, n_heads):
    with pytest.raises(ValueError) as error:
        NetworkConfig(n_hidden=n_hidden, n_heads=n_heads)
    suggestion = int(re.search(r"(\d+) would do", str(error.value))[1])
    assert NetworkConfig(n_hidden=suggestion, n_heads=n_heads).n_hidden == suggestion


def test_settings_cannot_change_after_the_check():
    with pytest.raises(FrozenInstanceError):
        NetworkConfig().top_k = 99
