"""Fine-tuning for labels: settings and loss."""

from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import numpy as np
from torch import Tensor

from scmoe.data._gene_batches import GeneDataModule
from scmoe.data._gene_dataset import GeneBatch, GeneDataset
from scmoe.losses._class_balance import LATE_RATE, PLAIN_SHARE, Balance
from scmoe.nn._gene_classifier import GeneClassifier
from scmoe.train._config import StepConfig
from scmoe.train._plan import TrainingPlan


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


class Part(NamedTuple):
    """Epochs of a training in which all is trained in the same way."""

    n_epochs: int
    balance: Balance
    """Their loss and draws."""
    rate: float = 1.0
    """Factor of the learning rate."""
    head_only: bool = False
    """Whether the encoder is frozen."""

    def plan(self, network: GeneClassifier, config: FineTuneConfig, seed: int) -> TrainingPlan:
        """Its training."""
        objective = partial(fine_tune_objective, balance=self.balance)
        return TrainingPlan(network, objective, replace(config, lr=self.rate * config.lr), seed)

    def data(
        self, dataset: GeneDataset, train: np.ndarray, validation: np.ndarray, batch_size: int, seed: int
    ) -> GeneDataModule:
        """Its batches."""
        probability = self.balance.probabilities(dataset.label[train])
        return GeneDataModule(dataset, train, validation, batch_size=batch_size, seed=seed, probability=probability)


def parts_of(balance: Balance, max_epochs: int) -> list[Part]:
    """The parts of a training. Whatever the option, there are as many epochs, and as many steps in each.

    ``"deferred"`` and ``"decoupled"`` are plain for the first four fifths of the epochs. Then the former weighs the labels, at a tenth of the
    learning rate, and the latter trains the head alone on labels drawn alike. ``"post_hoc"`` and ``"prototype"`` come after a plain training.

    Raises
    ------
    ValueError
        There is only one epoch for two parts.
    """
    plain = Balance("none", balance.counts)
    if balance.option in ("post_hoc", "prototype"):
        return [Part(max_epochs, plain)]
    if balance.option not in ("deferred", "decoupled"):
        return [Part(max_epochs, balance)]
    if max_epochs < 2:
        raise ValueError(
            f"class_balance={balance.option!r} needs two epochs, the last of them balanced; found {max_epochs}."
        )
    n_late = max(round((1 - PLAIN_SHARE) * max_epochs), 1)
    late = (
        Part(n_late, balance, rate=LATE_RATE) if balance.option == "deferred" else Part(n_late, balance, head_only=True)
    )
    return [Part(max_epochs - n_late, plain), late]


def fine_tune_objective(
    network: GeneClassifier, batch: GeneBatch, config: FineTuneConfig, balance: Balance
) -> dict[str, Tensor]:
    """The mean loss of the labels, as ``loss``."""
    logits = network(batch.gene, batch.value, batch.seen)
    return {"loss": balance.losses(logits, batch.label).mean()}
