"""Genes and proteins of a simulated tissue, and their counts."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

N_SIGNALS = 3
MARKER = 1.5
"""Logarithm of how much more of its markers a type makes."""
STRENGTH = (0.5, 1.0)
"""Range of the factors between a signal and the logarithm of a rate; either sign."""
TRANSLATED = 0.8
"""Share of a gene's marker effect and response that its protein has."""
BASE_SD, DEPTH_SD = 0.7, 0.3
"""Standard deviations of the logarithms of a feature's rate and a cell's depth."""
SHAPE = 5.0
"""Shape of the gamma distribution by which a rate varies around its mean: counts have the variance m + m² / 5."""

Array = NDArray[np.floating]


@dataclass(frozen=True, kw_only=True)
class Features:
    """What decides the rates of genes or proteins.

    Parameters
    ----------
    var
        The truth: ``marker_of``, ``ligand``, ``responds_to`` ("" for none) and ``strength``.
    base
        Logarithm of the rate without any effect, (features).
    markers
        Effect of each type, types x features.
    ligands
        Effect of the logarithm of what a cell makes of each signal, signals x features.
    responses
        Effect of what it receives, in standard deviations, signals x features.
    """

    var: pd.DataFrame
    base: Array
    markers: Array
    ligands: Array
    responses: Array

    def log_rate(self, cell_type: NDArray[np.integer], amounts: Array, signal: Array) -> Array:
        """Logarithms of rates, cells x features."""
        return self.base + self.markers[cell_type] + np.log(amounts) @ self.ligands + signal @ self.responses


def draw_genes(n_genes: int, n_types: int, rng: np.random.Generator) -> Features:
    """A quarter markers, one ligand a signal, a sixth responding genes, in random order."""
    order = rng.permutation(n_genes)
    marker, ligand, responding = np.split(order, np.cumsum([n_genes // 4, N_SIGNALS, n_genes // 6]))[:3]
    strength = rng.uniform(*STRENGTH, size=len(responding)) * rng.choice([-1, 1], size=len(responding))
    markers, ligands, responses = (np.zeros((n, n_genes)) for n in (n_types, N_SIGNALS, N_SIGNALS))
    markers[np.arange(len(marker)) % n_types, marker] = MARKER
    ligands[np.arange(N_SIGNALS), ligand] = 1.0
    responses[np.arange(len(responding)) % N_SIGNALS, responding] = strength
    var = pd.DataFrame(
        {
            "marker_of": _names("type", markers),
            "ligand": _names("signal", ligands),
            "responds_to": _names("signal", responses),
            "strength": responses.sum(axis=0),
        },
        [f"gene{i}" for i in range(n_genes)],
    )
    base = BASE_SD * rng.normal(size=n_genes)
    base[ligand] += MARKER
    return Features(var=var, base=base, markers=markers, ligands=ligands, responses=responses)


def draw_proteins(genes: Features, n_proteins: int, rng: np.random.Generator) -> Features:
    """Proteins of markers and responding genes, then, if there are more, of other genes."""
    informative = (genes.markers.any(axis=0) | genes.responses.any(axis=0)).astype(int)
    gene = rng.permutation(np.lexsort((rng.random(len(informative)), -informative))[:n_proteins])
    var = genes.var.iloc[gene].rename_axis("gene").reset_index().drop(columns="ligand")
    var["strength"] *= TRANSLATED
    return Features(
        var=var.set_index(pd.Index([f"protein{i}" for i in range(n_proteins)])),
        base=BASE_SD * rng.normal(size=n_proteins),
        markers=TRANSLATED * genes.markers[:, gene],
        ligands=np.zeros((N_SIGNALS, n_proteins)),
        responses=TRANSLATED * genes.responses[:, gene],
    )


def draw_counts(log_rate: Array, depth: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Negative-binomial counts, cells x features; a cell's mean total is log-normal with the mean `depth`."""
    share = np.exp(log_rate - log_rate.max(axis=1, keepdims=True))
    share /= share.sum(axis=1, keepdims=True)
    total = depth * rng.lognormal(-(DEPTH_SD**2) / 2, DEPTH_SD, size=(len(share), 1))
    return rng.poisson(total * share * rng.gamma(SHAPE, 1 / SHAPE, size=share.shape)).astype(np.float32)


def _names(prefix: str, effects: Array) -> list[str]:
    """The row that has an effect on each column; "" where none has."""
    return [f"{prefix}{column.argmax()}" if column.any() else "" for column in effects.T != 0]
