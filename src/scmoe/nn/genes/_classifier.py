"""Labels from the states of the gene encoder."""

from typing import Literal, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from scmoe.nn.genes._config import GeneConfig
from scmoe.nn.genes._encoder import Encoder, GeneStates, pool

Trainable = Literal["head", "last", "all"]
"""What is trained besides the head: nothing, the last encoder layer and its norm, or the whole encoder."""
N_AXES = 50
"""Of the joint embedding: as many as scanpy has principal components."""


class GeneClassifier(nn.Module):
    """A linear map of the pooled, standardized states of a pretrained encoder.

    Parameters
    ----------
    network
        The pretrained network; of a decoder nothing is used.
    n_labels
        Number of labels.
    cosine_scale
        Logits per unit of the cosine of states and weights; 0: logits are linear in the states.
    """

    mean: Tensor
    whiten: Tensor

    def __init__(self, network: Encoder, n_labels: int, cosine_scale: float = 0.0) -> None:
        super().__init__()
        self.network, self.cosine_scale = network, cosine_scale
        width = network.pooled_width
        n_axes = min(N_AXES, width)
        # Pooled states of cells differ little beside what they have in common, and much alike in many entries. Not a
        # batch norm: what it learns is no weight, so the running average of the weights would not have it.
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("whiten", torch.eye(width, n_axes))
        self.head = nn.Linear(n_axes, n_labels)

    @property
    def config(self) -> GeneConfig:
        """Of the network."""
        return self.network.config

    @torch.no_grad()
    def start(self, mean: Tensor, whiten: Tensor, weight: Tensor, bias: Tensor) -> None:
        """Take over a linear classifier of (pooled - mean) whiten (2 d, k): weights (labels, k), biases (labels,)."""
        for own, given in zip(
            (self.mean, self.whiten, self.head.weight, self.head.bias), (mean, whiten, weight, bias), strict=True
        ):
            own.copy_(given)

    @torch.no_grad()
    def lower_bias(self, offset: Tensor) -> None:
        """Subtract offsets (labels,) from all logits."""
        self.head.bias.sub_(offset.to(self.head.bias))

    def train_only(self, trainable: Trainable) -> None:
        """Choose which weights learn."""
        self.network.requires_grad_(False)
        if trainable != "head":
            for weight in self.network.trained(last=trainable == "last"):
                weight.requires_grad_(True)

    def train(self, mode: bool = True) -> Self:
        """Set the mode; an encoder that does not learn is evaluated, without dropout and noise."""
        super().train(mode)
        self.network.train(mode and any(weight.requires_grad for weight in self.network.parameters()))
        return self

    def forward(self, gene: Tensor, value: Tensor, seen: Tensor) -> Tensor:
        """Logits (B, labels) of cells, see `Encoder.encode`."""
        return self.classify(self.network.encode(gene, value, seen))

    def classify(self, encoded: GeneStates) -> Tensor:
        """Logits (B, labels) of encoded cells."""
        x = (pool(encoded, self.network.pooling) - self.mean) @ self.whiten
        if self.cosine_scale:
            return self.cosine_scale * functional.linear(
                functional.normalize(x), functional.normalize(self.head.weight)
            )
        return self.head(x)
