"""What an experiment sees of the molecules in a cell: capture, depth, dropout, batches and modalities not measured."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MODALITIES = ("dna", "pre", "rna", "protein")
CAPTURE = {"dna": 0.2, "pre": 0.06, "rna": 0.1, "protein": 0.015}
DROPOUT = {"dna": 0.1, "pre": 0.2, "rna": 0.2, "protein": 0.1}
"""Tuned so that stages are partly found by k-means, and best in all modalities together."""


@dataclass(frozen=True, kw_only=True)
class Noise:
    """Technical noise of an experiment.

    Parameters
    ----------
    capture
        By modality, the share of the molecules that are counted, on average.
    dropout
        By modality, the share of the values that are lost whatever the number of molecules.
    depth_sd
        Of the logarithm of a cell's factor on the capture, drawn for each modality.
    batch_sd
        Of the logarithm of a batch's factor on the capture of each feature.
    """

    capture: Mapping[str, float]
    dropout: Mapping[str, float]
    depth_sd: float
    batch_sd: float


def measure(
    molecules: NDArray[np.integer], modality: str, batch: NDArray[np.integer], noise: Noise, rng: np.random.Generator
) -> NDArray[np.integer]:
    """Counts of a modality, (N, G): each molecule is captured with the probability of its cell, batch and feature.

    A factor exp(sd z - sd^2 / 2) has a mean of 1; probabilities end at 1. One batch alone has no effect.
    """
    n_cells, n_genes = molecules.shape
    depth = _factor(noise.depth_sd, (n_cells, 1), rng)
    n_batches = int(batch.max()) + 1
    effect = _factor(noise.batch_sd if n_batches > 1 else 0.0, (n_batches, n_genes), rng)
    captured = rng.binomial(molecules, np.minimum(noise.capture[modality] * depth * effect[batch], 1.0))
    return captured * (rng.random(molecules.shape) >= noise.dropout[modality])


def _factor(sd: float, shape: tuple[int, int], rng: np.random.Generator) -> NDArray[np.floating]:
    return np.exp(sd * rng.normal(size=shape) - sd**2 / 2)


def draw_present(missing: Mapping[str, float], n_cells: int, rng: np.random.Generator) -> dict[str, NDArray[np.bool_]]:
    """Which cells have each modality, (N,): exactly the shares asked for are without, and none is without all.

    The cells lie on a circle in random order, and each modality is missing in an arc that begins where the one before
    ended: no cell lacks two modalities before every cell lacks one.

    Raises
    ------
    ValueError
        A modality would have no cell, or a cell no modality.
    """
    numbers = {modality: round(share * n_cells) for modality, share in missing.items()}
    for modality, number in numbers.items():
        if number == n_cells:
            raise ValueError(
                f"missing leaves no cell with {modality!r}: a share of {missing[modality]:g} is all of {n_cells} "
                f"cells. Ask for a smaller share, or remove the modality afterwards."
            )
    if sum(numbers.values()) > (len(MODALITIES) - 1) * n_cells:
        raise ValueError(
            f"The shares in missing must sum to at most {len(MODALITIES) - 1}, so that every cell keeps one modality; "
            f"found {sum(missing.values()):.6g} in {dict(missing)}."
        )
    circle, at, present = rng.permutation(n_cells), 0, {}
    for modality in MODALITIES:
        present[modality] = np.ones(n_cells, dtype=bool)
        present[modality][circle[np.arange(at, at + numbers.get(modality, 0)) % n_cells]] = False
        at += numbers.get(modality, 0)
    return present
