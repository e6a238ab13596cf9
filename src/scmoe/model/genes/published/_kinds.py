"""How published models store genes and values: names of tensors, special tokens, and what else is beside them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

DEFAULT_ALPHA = 1.0
"""Of scFoundation's value encoder where the file does not say."""
N_SCBERT_CODES = 7
"""Values 0 to 5, and one for masked and padded places."""


class AutoDiscretizationWeights(NamedTuple):
    """Of a value v: e = tableᵀ softmax(W2 u + b2 + alpha u), where u = LeakyReLU(w1 v + b1) with slope 0.1.

    There are b bins, and e has the width d.
    """

    w1: NDArray[np.float32]
    """(b,)."""
    b1: NDArray[np.float32]
    """(b,)."""
    W2: NDArray[np.float32]
    """(b, b), to rows from columns."""
    b2: NDArray[np.float32]
    """(b,)."""
    table: NDArray[np.float32]
    """(b, d)."""
    alpha: float
    """Weight of u beside W2 u."""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Where a published model keeps things.

    Parameters
    ----------
    files
        Usual names of the weights file.
    table
        Tensor with one row a gene.
    needed
        Other tensors that are read.
    layer
        Pattern of the names of a layer's tensors, with its number as a group.
    special
        Names of the rows that are no genes.
    dictionary
        Usual name of the file from genes to rows; None: the rows are in the order of a list.
    settings
        Usual name of the file with the settings; None: they are in the weights file, if anywhere.
    """

    files: tuple[str, ...]
    table: str
    needed: tuple[str, ...] = ()
    layer: str
    special: tuple[str, ...]
    dictionary: str | None = None
    settings: str | None = None


LAYOUTS = {
    "scgpt": Layout(
        files=("best_model.pt",),
        table="encoder.embedding.weight",
        needed=("encoder.enc_norm.weight", "encoder.enc_norm.bias"),
        layer=r"transformer_encoder\.layers\.(\d+)\.",
        special=("<pad>", "<cls>", "<eoc>"),
        dictionary="vocab.json",
        settings="args.json",
    ),
    "geneformer": Layout(
        files=("model.safetensors", "pytorch_model.bin"),
        table="bert.embeddings.word_embeddings.weight",
        layer=r"bert\.encoder\.layer\.(\d+)\.",
        special=("<pad>", "<mask>", "<cls>", "<eos>"),
        dictionary="token_dictionary.json",
        settings="config.json",
    ),
    "scbert": Layout(
        files=("panglao_pretrain.pth",),
        table="pos_emb.emb.weight",
        needed=("token_emb.weight",),
        layer=r"performer\.net\.layers\.(\d+)\.",
        special=("<end>",),
    ),
    "scfoundation": Layout(
        files=("models.ckpt",),
        table="pos_emb.weight",
        needed=tuple(
            f"token_emb.{name}" for name in ("mlp.weight", "mlp.bias", "mlp2.weight", "mlp2.bias", "emb.weight")
        ),
        layer=r"encoder\.transformer_encoder\.(\d+)\.",
        special=("<T>", "<S>", "<pad>"),
    ),
}


def check_tensors(kind: str, tensors: Mapping[str, Tensor], name: str) -> None:
    """Refuse a file of another model.

    Raises
    ------
    ValueError
        A tensor is missing; the message says which model has the tensors found.
    """
    missing = _missing(kind, tensors)
    if not missing:
        return
    others = [other for other in LAYOUTS if not _missing(other, tensors)]
    hint = f"its tensors are those of {others[0]}: pass kind={others[0]!r}" if others else "it begins with "
    raise ValueError(
        f"{name} does not hold the weights of {kind}: the tensor {missing[0]!r} is missing; "
        f"{hint if others else hint + ', '.join(map(repr, list(tensors)[:3]))}."
    )


def _missing(kind: str, tensors: Mapping[str, Tensor]) -> list[str]:
    layout = LAYOUTS[kind]
    return [name for name in (layout.table, *layout.needed) if name not in tensors]


def to_array(tensor: Tensor) -> NDArray[np.float32]:
    """A tensor of any precision as float32."""
    return tensor.detach().float().numpy()


def gene_table(kind: str, tensors: Mapping[str, Tensor]) -> NDArray[np.float32]:
    """Rows as the network adds them to the values: scGPT normalizes those that it stores."""
    table = tensors[LAYOUTS[kind].table].float()
    if kind == "scgpt":
        scale, shift = (tensors[name].float() for name in LAYOUTS[kind].needed)
        table = torch.nn.functional.layer_norm(table, table.shape[1:], scale, shift)
    return to_array(table)


def value_table(
    kind: str, tensors: Mapping[str, Tensor], settings: Mapping[str, Any]
) -> AutoDiscretizationWeights | NDArray[np.float32] | None:
    """How the model embeds values, if it is a table.

    Raises
    ------
    ValueError
        Shapes do not fit one another.
    """
    if kind == "scbert":
        codes = to_array(tensors["token_emb.weight"])
        if len(codes) != N_SCBERT_CODES:
            raise ValueError(f"scBERT has {N_SCBERT_CODES} values; found {len(codes)} rows in 'token_emb.weight'.")
        return codes
    if kind != "scfoundation":
        return None
    w1, b1, w2, b2, table = (to_array(tensors[name]) for name in LAYOUTS[kind].needed)
    n, width = len(table), tensors[LAYOUTS[kind].table].shape[1]
    shapes, expected = (w1.shape, b1.shape, w2.shape, b2.shape, table.shape), ((n, 1), (n,), (n, n), (n,), (n, width))
    if shapes != expected:
        raise ValueError(f"scFoundation's value encoder must have tensors of the shapes {expected}; found {shapes}.")
    return AutoDiscretizationWeights(w1[:, 0], b1, w2, b2, table, alpha_of(settings))


def of_type(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """Those of scFoundation's settings that are kept by type of model."""
    return settings.get("model_config", {}).get(settings.get("model"), {})


def alpha_of(settings: Mapping[str, Any]) -> float:
    """Weight of the skip connection in scFoundation's value embedding."""
    return float(of_type(settings).get("bin_alpha", DEFAULT_ALPHA))


def sizes(kind: str, tensors: Mapping[str, Tensor]) -> dict[str, int]:
    """Width, number of layers and of parameters."""
    return {
        "width": tensors[LAYOUTS[kind].table].shape[1],
        "n_layers": n_layers(kind, tensors),
        "n_parameters": sum(tensor.numel() for tensor in tensors.values() if tensor.is_floating_point()),
    }


def n_layers(kind: str, tensors: Mapping[str, Tensor]) -> int:
    """Number of layers that have tensors."""
    return len({match[1] for name in tensors if (match := re.search(f"^{LAYOUTS[kind].layer}", name))})
