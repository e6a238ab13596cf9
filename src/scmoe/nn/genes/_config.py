"""Size and form of the gene network: every hyper-parameter written once."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from scmoe.arguments._checked import checks_fields
from scmoe.arguments._keywords import Place
from scmoe.data.genes._dataset import N_DEPTH
from scmoe.nn._config import NetworkConfig, from_keywords
from scmoe.nn.published._form import PublishedForm

PRESETS: dict[str, dict[str, Any]] = {
    "tiny": {},
    "3m": {"encoder_layers": 4, "encoder_heads": 4, "encoder_width": 192}
    | {"decoder_layers": 2, "decoder_heads": 4, "decoder_width": 128, "n_bins": 100},
    "10m": {"encoder_layers": 6, "encoder_heads": 6, "encoder_width": 240}
    | {"decoder_layers": 3, "decoder_heads": 4, "decoder_width": 160, "n_bins": 100},
    "100m": {"encoder_layers": 12, "encoder_heads": 12, "encoder_width": 768}
    | {"decoder_layers": 6, "decoder_heads": 8, "decoder_width": 512, "n_bins": 100},
}
"""Sizes by name; what is not named here is `GeneConfig`'s default. ``100m`` is the published one."""
EXPANSION = 4
"""Hidden width of a feed-forward layer over its width."""


@checks_fields
@dataclass(frozen=True, kw_only=True)
class GeneConfig:
    """Size and form of the gene network; every field is a keyword of `scmoe.model.XTRIMOGENE`.

    The defaults are the preset ``"tiny"``.

    Parameters
    ----------
    tokenizer
        How counts become tokens: ``"continuous"`` (xTrimoGene), ``"bins"`` (scGPT), ``"integer"`` (scBERT) or
        ``"rank"`` (Geneformer); see `scmoe.tokens`.
    value_embedding
        How a continuous value is embedded: ``"auto"`` (auto-discretization), ``"linear"``, or one vector for each bin:
        ``"round"`` (nearest integer), ``"up"`` (next integer), ``"equal"`` (as many values in each). Codes of the other
        tokenizers have one vector each.
    n_bins
        Bins of ``"auto"`` and ``"equal"``; other schemes have numbers of their own, and do not read it.
    encoder_layers, encoder_heads, encoder_width
        Of the encoder, which reads the expressed genes.
    decoder_layers, decoder_heads, decoder_width
        Of the decoder, which reads all genes.
    decoder_attention
        ``"performer"``: random features of the softmax kernel, linear in the genes; ``"exact"``: quadratic.
    target
        What the decoder says of a masked gene: ``"value"``, its value; ``"class"``, the probability of each whole
        number that it may round to (worse, for classes know no order; kept for comparison).
    n_experts, top_k
        Experts of the encoder's feed-forward layers, and how many each token uses; 1 expert: a dense layer.
    depth_tokens
        Whether each cell has two more tokens, the depth read and the depth asked for (scFoundation). In training the
        input of some cells is thinned then.
    dropout
        After attention and feed-forward layers of the encoder.
    published
        Form of a published encoder in place of xTrimoGene's, which `scmoe.model.XTRIMOGENE.from_published` sets; then
        the decoder's settings, values and experts say nothing.
    """

    tokenizer: Literal["continuous", "bins", "integer", "rank"] = "continuous"
    value_embedding: Literal["auto", "linear", "round", "up", "equal"] = "auto"
    n_bins: int = 32
    encoder_layers: int = 2
    encoder_heads: int = 2
    encoder_width: int = 64
    decoder_layers: int = 1
    decoder_heads: int = 2
    decoder_width: int = 32
    decoder_attention: Literal["performer", "exact"] = "performer"
    target: Literal["value", "class"] = "value"
    n_experts: int = 1
    top_k: int = 1
    depth_tokens: bool = False
    dropout: float = 0.0
    published: PublishedForm | Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        """Check the fields against each other."""
        if isinstance(self.published, Mapping):  # as saved
            object.__setattr__(self, "published", from_keywords(PublishedForm, self.published))
        for side in ("encoder", "decoder"):
            width, heads = getattr(self, f"{side}_width"), getattr(self, f"{side}_heads")
            if width % heads:
                raise ValueError(f"{side}_width={width} must be a multiple of {side}_heads={heads}.")
        if self.top_k > self.n_experts:
            raise ValueError(f"top_k={self.top_k} must be at most n_experts={self.n_experts}.")
        if self.tokenizer != "continuous" and self.value_embedding != "auto":
            raise ValueError(
                f"value_embedding={self.value_embedding!r} is for continuous values; the codes of tokenizer="
                f"{self.tokenizer!r} have one vector each. Leave value_embedding out."
            )
        if self.tokenizer != "continuous" and self.depth_tokens:
            raise ValueError(f"depth_tokens are continuous values, and tokenizer={self.tokenizer!r} has codes only.")

    @property
    def form(self) -> PublishedForm | None:
        """The published form, if there is one."""
        return self.published if isinstance(self.published, PublishedForm) else None

    @property
    def n_depth(self) -> int:
        """Number of depth tokens."""
        return N_DEPTH * self.depth_tokens

    @property
    def token_settings(self) -> dict[str, Any]:
        """Settings of the tokenizer: its defaults, or those of the published model."""
        if self.form is None or self.form.max_length is None:
            return {}
        if self.tokenizer == "rank":
            return {"limit": self.form.max_length}
        return {"max_length": self.form.max_length, "ties": "random"}

    @property
    def block(self) -> NetworkConfig:
        """Settings of one encoder layer, which is a block of the scMoE network."""
        return NetworkConfig(
            n_hidden=self.encoder_width,
            n_heads=self.encoder_heads,
            n_experts=self.n_experts,
            top_k=self.top_k,
            expert_hidden=EXPANSION * self.encoder_width // self.top_k,
            dropout=self.dropout,
        )


def encoder_config(encoder: str | Mapping[str, Any]) -> GeneConfig:
    """Settings of the encoder of ``tokenizer="genes"``: a preset or keywords; a ValueError if it reads other input."""
    config = gene_config(encoder, {}) if isinstance(encoder, str) else from_keywords(GeneConfig, encoder)
    if config.form is not None:  # which makes its own tokens of the values, and does without those of the depth
        return replace(config, depth_tokens=False)
    if config.tokenizer != "continuous":
        raise ValueError(
            "The gene encoder of SCMOE reads continuous values; this one reads the codes of "
            f'tokenizer={config.tokenizer!r}. Pretrain XTRIMOGENE with tokenizer="continuous".'
        )
    if config.depth_tokens:
        raise ValueError(
            "The gene encoder of SCMOE reads normalized values, and this one reads total counts too. "
            "Pretrain XTRIMOGENE with depth_tokens=False."
        )
    return config


def gene_config(preset: str, keywords: Mapping[str, Any], *elsewhere: Place) -> GeneConfig:
    """Settings of a preset, with keywords on top; a ValueError for an unknown preset, a TypeError for a keyword."""
    if preset not in PRESETS:
        raise ValueError(f"preset must be one of {', '.join(map(repr, PRESETS))}; found {preset!r}.")
    return from_keywords(GeneConfig, PRESETS[preset] | dict(keywords), *elsewhere)
