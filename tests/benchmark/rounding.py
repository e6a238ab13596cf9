"""How much of a result is rounding: the same training from weights that differ by a rounding error.

Run in any environment with scmoe: ``python tests/benchmark/rounding.py 8``. Each line is one training on the bundled
data: the largest and the median difference of the embedding to the undisturbed run, and the k-means scores of the
README's table. Libraries of different versions round differently, so two environments cannot be expected to be closer
than these runs are.
"""

import logging
import sys

import numpy as np
import torch

import scmoe
from scmoe.benchmark._scores import kmeans_scores

NOISE = 1e-7
"""Relative; half of the distance between neighboring float32 numbers at 1."""


def embedding(seed_of_noise: int | None) -> tuple[np.ndarray, dict[str, float]]:
    """Embedding of all cells and its k-means scores; None: weights as they are."""
    mdata = scmoe.datasets.bmmc_cite()
    scmoe.pp.prepare(mdata)
    scmoe.model.SCMOE.setup_mudata(mdata, batch_key="batch")
    model = scmoe.model.SCMOE(mdata, seed=0)
    if seed_of_noise is not None:
        noise = torch.Generator().manual_seed(seed_of_noise)
        with torch.no_grad():
            for weight in model.module.parameters():
                weight.mul_(1 + NOISE * torch.randn(weight.shape, generator=noise))
    model.train()
    values = model.get_latent_representation()
    return values, kmeans_scores(values, mdata.obs["cell_type"])


def main(n_runs: int) -> None:
    """Print a table of `n_runs` disturbed runs."""
    logging.getLogger("scmoe").setLevel(logging.WARNING)
    reference, scores = embedding(None)
    print("| run | largest difference | median difference | ARI | NMI |\n|---|---|---|---|---|")
    print(f"| undisturbed | 0 | 0 | {scores['ari']:.3f} | {scores['nmi']:.3f} |")
    for run in range(n_runs):
        values, scores = embedding(run)
        apart = np.abs(values - reference)
        print(f"| {run} | {apart.max():.1e} | {np.median(apart):.1e} | {scores['ari']:.3f} | {scores['nmi']:.3f} |")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 8)
