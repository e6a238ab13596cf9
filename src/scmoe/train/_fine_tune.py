"""Fine-tuning for labels: settings and loss."""

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

from scmoe.data._gene_dataset import GeneBatch
from scmoe.nn._gene_classifier import GeneClassifier
from scmoe.train._config import StepConfig


@dataclass(frozen=True, kw_only=True)
class FineTuneConfig(StepConfig):
    """How a pretrained network learns labels; every field is a key of ``plan_kwargs`` of `scmoe.model.XTRIMOGENE.fine_tune`.

    Parameters
    ----------
    lr
        Peak learning rate of AdamW.
    weight_decay
        Weight decay of the matrices.
    warmup
        Share of the steps in which the learning rate rises; it then falls along a cosine.
    gradient_clip
        Largest norm of the gradient.
    ema
        Decay of the running average of the weights, which is what the model keeps.
    """

    lr: float = 1e-3


def fine_tune_objective(network: GeneClassifier, batch: GeneBatch, config: FineTuneConfig) -> dict[str, Tensor]:
    """The cross-entropy of the labels, as ``loss``."""
    logits = network(batch.gene, batch.value, batch.seen)
    return {"loss": F.cross_entropy(logits, batch.label)}
