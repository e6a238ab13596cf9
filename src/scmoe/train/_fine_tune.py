"""Fine-tuning for labels: settings and loss."""

from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import numpy as np
from torch import Tensor

from scmoe.arguments._checked import checks_fields
from scmoe.data.genes._batches import GeneDataModule
from scmoe.data.genes._dataset import GeneBatch, GeneDataset
from scmoe.losses._class_balance import LATE_RATE, PLAIN_SHARE, Balance
from scmoe.nn.genes._classifier import GeneClassifier
from scmoe.train._config import StepConfig
from scmoe.train._plan import TrainingPlan


@checks_fields
@dataclass(frozen=True, kw_only=True)
class FineTuneConfig(StepConfig):
    """How a pretrained network learns labels.

    Every field is a key of ``plan_kwargs`` of `scmoe.model.XTRIMOGENE.fine_tune`.

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


class Phase(NamedTuple):
    """A phase of a training: epochs in which all is trained in the same way."""

    n_epochs: int
    n_steps: int
    """At most; -1: as many as the epochs have."""
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


def phases_of(balance: Balance, max_epochs: int, max_steps: int | None = None) -> list[Phase]:
    """The phases of a training. Whatever the option, there are as many epochs, or steps if their number is given.

    ``"deferred"`` and ``"decoupled"`` are plain for the first four fifths. Then the former weighs the labels, at a
    tenth of the learning rate, and the latter trains the head alone on labels drawn alike. ``"post_hoc"`` and
    ``"prototype"`` come after a plain training.

    Raises
    ------
    ValueError
        There is only one epoch or step for two phases.
    """
    plain, n_steps = Balance("none", balance.counts), -1 if max_steps is None else max_steps
    if balance.option in ("post_hoc", "prototype"):
        return [Phase(max_epochs, n_steps, plain)]
    if balance.option not in ("deferred", "decoupled"):
        return [Phase(max_epochs, n_steps, balance)]
    unit, n = ("epochs", max_epochs) if max_steps is None else ("steps", max_steps)
    if n < 2:
        raise ValueError(f"class_balance={balance.option!r} needs two {unit}, the last of them balanced; found {n}.")
    n_late = max(round((1 - PLAIN_SHARE) * n), 1)
    late = {"rate": LATE_RATE} if balance.option == "deferred" else {"head_only": True}
    if max_steps is None:
        return [Phase(max_epochs - n_late, -1, plain), Phase(n_late, -1, balance, **late)]
    return [Phase(max_epochs, max_steps - n_late, plain), Phase(max_epochs, n_late, balance, **late)]


def fine_tune_objective(
    network: GeneClassifier, batch: GeneBatch, config: FineTuneConfig, balance: Balance
) -> dict[str, Tensor]:
    """The mean loss of the labels, as ``loss``."""
    logits = network(batch.gene, batch.value, batch.seen)
    return {"loss": balance.losses(logits, batch.label).mean()}
