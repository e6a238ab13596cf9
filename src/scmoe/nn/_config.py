"""The network's hyper-parameters: written once, here."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, TypeVar

from scmoe.arguments._checked import checks_fields
from scmoe.arguments._keywords import Place, check_keywords

Config = TypeVar("Config")


def from_keywords(kind: type[Config], keywords: Mapping[str, Any], *elsewhere: Place) -> Config:
    """A settings object; a TypeError that names the setting that is meant if a keyword is none.

    Parameters
    ----------
    kind
        Class of the settings.
    keywords
        Their values, by name.
    *elsewhere
        Where settings belong that are none of these.
    """
    names = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    check_keywords(kind.__name__, keywords, names, elsewhere)
    return kind(**keywords)


@checks_fields
@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """Size and form of the network; every field is a keyword of `scmoe.model.SCMOE` and `scmoe.tl.train`.

    Parameters
    ----------
    tokenizer
        ``"program"``: each token is a linear map of the modality's gene programs, the leading singular vectors of the
        training cells, so that training starts from PCA. ``"patch"``: the scMoE paper's, consecutive features through
        one linear layer. ``"genes"``: of RNA, program tokens plus what the encoder of `scmoe.model.XTRIMOGENE` makes of
        the cell's expressed genes; of other modalities, program tokens.
    gene_encoder
        Size of that encoder: a preset of `scmoe.model.XTRIMOGENE`, or fields of `scmoe.model.GeneConfig`.
    train_gene_encoder
        Whether that encoder is trained with the rest, or stays as it is, which is for a pretrained one.
    n_tokens
        Tokens per modality.
    n_programs
        Programs per modality; no more than it has features (and those beyond the rank of the training cells are idle).
    train_programs
        Whether the programs are trained with the rest, from where the singular vectors put them.
    n_hidden
        Width of tokens, states and embedding; a multiple of `n_heads`.
    n_layers
        Transformer blocks.
    n_heads
        Attention heads.
    n_experts
        Experts of each sparse feed-forward layer.
    top_k
        Experts that each token uses; at most `n_experts`.
    expert_hidden
        Hidden width of one expert.
    router
        ``"shared"``: one router for all modalities; ``"per_modality"``: one each.
    router_input
        What routers read. ``"token"``: the token; ``"cell"``: the token, and beside it the mean of the tokens that it
        may attend to, which in use are all of the cell.
    router_start
        ``"random"``, or ``"clusters"``: one k-means cluster of the training cells' tokens for each expert.
    gate
        ``"softmax_after_topk"``: weights of the chosen experts sum to one (the reference code);
        ``"topk_of_softmax"``: softmax over all experts, the chosen ones kept as they are (the paper's equation 1).
    residual
        ``"prenorm"``: h + f(norm(h)); ``"paper"``: norm(h) + f(norm(h)) (Algorithm 1); ``"reference"``: the published
        code, which has no skip connection around attention.
    dropout
        Dropout after attention and experts.
    feature_dropout
        Share of input features hidden from a training cell.
    decoder_hidden
        Hidden width of the decoders.
    decoder_dropout
        Dropout of the states before they are decoded.
    n_clusters
        Size of the deep divergence-based clustering head; None: no such head.
    label_weight
        Weight of the cross-entropy of the training cells' labels, which a linear head reads off the joint state (the
        scMoE paper's supervised group identification); 0: no label shapes the network. See
        `scmoe.model.SCMOE.predict_supervised`.
    """

    tokenizer: Literal["program", "patch", "genes"] = "program"
    gene_encoder: str | Mapping[str, Any] = "tiny"
    train_gene_encoder: bool = True
    n_tokens: int = 4
    n_programs: int = 50
    train_programs: bool = True
    n_hidden: int = 64
    n_layers: int = 1
    n_heads: int = 4
    n_experts: int = 8
    top_k: int = 2
    expert_hidden: int = 128
    router: Literal["shared", "per_modality"] = "shared"
    router_input: Literal["token", "cell"] = "token"
    router_start: Literal["random", "clusters"] = "random"
    gate: Literal["softmax_after_topk", "topk_of_softmax"] = "softmax_after_topk"
    residual: Literal["prenorm", "paper", "reference"] = "prenorm"
    dropout: float = 0.1
    feature_dropout: float = 0.3
    decoder_hidden: int = 64
    decoder_dropout: float = 0.2
    n_clusters: int | None = None
    label_weight: float = 0.0

    def __post_init__(self) -> None:
        """Check the fields against each other."""
        if self.tokenizer != "genes" and self.gene_encoder != NetworkConfig.gene_encoder:
            raise ValueError(
                f"gene_encoder is for tokenizer='genes'; found tokenizer={self.tokenizer!r}. Leave it out."
            )
        if self.tokenizer != "genes" and not self.train_gene_encoder:
            raise ValueError(
                f"train_gene_encoder is for tokenizer='genes'; found tokenizer={self.tokenizer!r}. Leave it out."
            )
        if self.top_k > self.n_experts:
            raise ValueError(
                f"top_k={self.top_k} experts per token were asked for, but n_experts={self.n_experts}. "
                "Lower top_k or raise n_experts."
            )
        if self.n_hidden % self.n_heads:
            raise ValueError(
                f"n_hidden={self.n_hidden} must be a multiple of n_heads={self.n_heads}, "
                f"so that every head gets the same width; "
                f"{self.n_hidden - self.n_hidden % self.n_heads or self.n_heads} would do."
            )
        if self.n_clusters is not None and self.n_clusters < 2:
            raise ValueError(f"n_clusters must be None or at least 2; found {self.n_clusters}.")
