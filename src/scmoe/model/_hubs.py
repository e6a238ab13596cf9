"""Places of training and validation cells in the embedding, for whether the latter are hubs."""

from typing import Any

import numpy as np

from scmoe.data._dataset import MosaicDataset
from scmoe.model._embed import embedded
from scmoe.model._fitted import Fitted
from scmoe.readout._hubs import evenly, hubs_among, validation_verdict

N_CELLS = 2000
"""Training and validation cells that are looked at after a training."""


def sample_embedding(
    fitted: Fitted, dataset: MosaicDataset, train: np.ndarray, validation: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The embedding of training and of validation cells, of at most 2000, both thinned alike."""
    share = min(N_CELLS / (len(train) + len(validation)), 1)
    samples = [cells[evenly(len(cells), round(share * len(cells)))] for cells in (train, validation)]
    return embedded(fitted, dataset, samples[0]), embedded(fitted, dataset, samples[1])


def with_hubs(diagnostics: dict[str, Any], train: np.ndarray, validation: np.ndarray, seed: int) -> dict[str, Any]:
    """The diagnostics, with the hub ratios of validation cells, from the places (n, d) of both."""
    hubs = hubs_among(train, validation, seed)
    verdict = [*diagnostics["verdict"], *validation_verdict(hubs, len(validation))]
    return {**diagnostics, "hub_within": hubs.within, "hub_outside": hubs.outside, "verdict": verdict}
