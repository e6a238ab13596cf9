"""Did the training go well? Numbers from what it left behind, and what to do about them in plain sentences."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from lightning.fabric.utilities import move_data_to_device
from torch import Tensor

from scmoe._log import FIELDS, logger
from scmoe.data._datamodule import MosaicDataModule
from scmoe.data._dataset import Batch
from scmoe.nn._network import Encoded, Network
from scmoe.nn._router import Routing
from scmoe.train._course import LOSS, ROSE, course

N_SAMPLED = 512
"""Cells that are looked at."""
DEAD = 0.1
"""An expert with less than this part of an even share of the routed tokens is dead."""
STILL_FALLING = {"validation": 0.04, "training": 0.1}
"""Share of a loss's fall that is late in the last quarter of the epochs; the training loss is noisier."""
STEADY = {"validation": 0.1, "training": 0.2}
"""Share in the third quarter: the last one, of a low learning rate, would have gone on like it."""

WORTHLESS = 0.01
"""A prediction that explains a smaller share of its target's variance in the validation cells is worth nothing."""


def sample_cells(data: MosaicDataModule) -> Batch:
    """At most 512 cells, always the same, evenly from the validation cells, or without any from the training cells."""
    cells = data.validation if len(data.validation) else data.train
    return data.dataset[cells[np.linspace(0, len(cells) - 1, min(len(cells), N_SAMPLED)).astype(int)]]


@torch.no_grad()
def encode_cells(network: Network, batch: Batch) -> Encoded:
    """Encode cells the way the model is used: all modalities fused, no noise; leaves the network in evaluation mode."""
    batch = move_data_to_device(batch, network.device)
    return network.eval().encode(
        network.standardize(batch.dense_values(), batch.observed),
        batch.presence,
        network.scale_covariates(batch.covariates),
        values=batch.values,
    )


def expert_loads(routing: Sequence[Routing]) -> np.ndarray:
    """Share of the routed tokens that each expert gets, (blocks, E); rows sum to one."""
    counts = [torch.bincount(r.expert.flatten(), minlength=r.logits.shape[1]) for r in routing]
    loads = torch.stack(counts).double().cpu().numpy()
    return loads / loads.sum(1, keepdims=True)


def embedding_drift(before: Tensor, after: Tensor) -> float:
    """How far cells moved between two embeddings (B, d), over how far they are from their mean (root mean squares).

    NaN when the cells do not differ, as one cell does not.
    """
    displacement = (after - before.to(after)).square().sum(1).mean()
    variance = (after - after.mean(0)).square().sum(1).mean()
    return float((displacement / variance).sqrt()) if variance > 0 else math.nan


def diagnose(
    history: pd.DataFrame, encoded: Encoded, before: Tensor | None, *, kept: int, n_steps: int, n_skipped: int
) -> dict[str, Any]:
    """Summarize a training.

    Parameters
    ----------
    history
        Losses, one row an epoch.
    encoded
        Of the sampled cells (`sample_cells`), by the final network.
    before
        Their joint states (B, d) after nine tenths of the epochs; None: the kept weights are of an epoch before.
    kept
        Epoch whose weights are kept, a row of the history.
    n_steps, n_skipped
        Steps of the optimizer, and those that were skipped because loss or gradient was not finite.

    Returns
    -------
    dict
        See ``diagnostics`` of `scmoe.model.SCMOE`.
    """
    stage = "validation" if LOSS in history else "training"
    loss = history[LOSS if stage == "validation" else "train_loss"]
    loss = loss[np.isfinite(loss)]
    shares = course(loss.to_numpy())
    loads = expert_loads(encoded.routing)
    n_experts = loads.shape[1]
    entropy = -(loads * np.log(np.where(loads > 0, loads, 1))).sum(1)
    measures = {
        "n_epochs": len(history),
        "kept_epoch": int(history.index.get_loc(kept)) + 1,
        "n_steps": n_steps,
        "n_skipped_steps": n_skipped,
        "watched_loss": stage,
        "final_loss": float(loss.loc[:kept].iloc[-1]) if len(loss) else math.nan,
        **shares._asdict(),
        "dead_experts": (loads < DEAD / n_experts).sum(1).tolist(),
        "expert_load_entropy": (entropy / math.log(max(n_experts, 2))).tolist(),
        "posterior_drift": math.nan if before is None else embedding_drift(before, encoded.joint),
    }
    return {**measures, "verdict": verdict(measures)}


def verdict(diagnostics: dict[str, Any]) -> list[str]:
    """What is wrong and what to do, one sentence each."""
    stage, epochs, kept = (diagnostics[name] for name in ("watched_loss", "n_epochs", "kept_epoch"))
    sentences = []
    if diagnostics["n_skipped_steps"]:
        sentences.append(
            f"{diagnostics['n_skipped_steps']} of {diagnostics['n_steps']} steps were skipped, because their loss or "
            "gradient was not a finite number: look for extreme values in the data, or lower lr."
        )
    for block, dead in enumerate(diagnostics["dead_experts"], start=1):
        if dead:
            sentences.append(
                f"Block {block} hardly uses {dead} of its experts: raise balance_weight or lower n_experts."
            )
    if math.isnan(diagnostics["late_fall"]):
        sentences.append("One epoch cannot show whether the loss still falls: raise max_epochs.")
    elif kept < epochs:
        sentences.append(
            f"The validation loss rose again from its lowest, in epoch {kept}, whose weights were kept: lower "
            "max_epochs to save time, and expect little of what the network predicts."
        )
    elif diagnostics["late_fall"] > STILL_FALLING[stage] or diagnostics["third_quarter_fall"] > STEADY[stage]:
        sentences.append(f"The {stage} loss was still falling after {epochs} epochs: raise max_epochs.")
    elif stage == "validation" and diagnostics["rise"] > ROSE:
        sentences.append(
            "The validation loss rose again from its lowest, but not clearly for so few cells: the weights of the last "
            "epoch were kept. Raise validation_size to tell, or lower max_epochs."
        )
    return sentences


def with_predictions(diagnostics: dict[str, Any], explained: Mapping[str, float]) -> dict[str, Any]:
    """The diagnostics, with the predictions that are worth nothing.

    Parameters
    ----------
    diagnostics
        Of `diagnose`.
    explained
        Of each prediction, by name, the share of its target's variance in validation cells that it explains; NaN:
        unknown.
    """
    worthless = [name for name, share in explained.items() if share < WORTHLESS]
    verdict = list(diagnostics["verdict"])
    if worthless:
        verdict.append(
            f"On the validation cells, predictions of {', '.join(worthless)} are no better than the mean of the "
            "training cells: do not rely on them."
        )
    return {**diagnostics, "unpredicted": worthless, "verdict": verdict}


def report(diagnostics: dict[str, Any], seconds: float) -> None:
    """Log one line; it is a warning if there is something to do."""
    dead, epochs = sum(diagnostics["dead_experts"]), diagnostics["n_epochs"]
    line = (
        f"trained {epochs} epoch{'s' * (epochs > 1)} ({diagnostics['n_steps']} steps) in {seconds:.0f} s: "
        f"{diagnostics['watched_loss']} loss {diagnostics['final_loss']:.2f}, {dead or 'no'} dead experts"
    )
    fields = {FIELDS: {**diagnostics, "seconds": seconds}}
    if diagnostics["verdict"]:
        logger.warning("%s. %s", line, " ".join(diagnostics["verdict"]), extra=fields)
    else:
        logger.info("%s, converged", line, extra=fields)
