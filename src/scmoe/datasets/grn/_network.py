"""Who regulates whom: transcription-factor modules of a backbone, and the target genes that they control."""

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise, product

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

TFS_PER_MODULE = 2
MODULE_HILL, MODULE_STRENGTH = 4.0, {1: 2.0, -1: 4.0}
"""Steep switches between modules; a repressor acts at half the amount at which an activator does."""
TARGET_HILL, TARGET_STRENGTH = 2.0, (1.0, 4.0)
MAX_REGULATORS = 3
ACTIVATING = 0.75
"""Share of activating edges among those of targets, as in dyngen."""
HOUSEKEEPING = 0.1
"""Share of the genes besides transcription factors that nothing regulates."""
TF, TARGET, HOUSEKEEPER = "TF", "target", "housekeeping"


@dataclass(frozen=True, kw_only=True)
class Backbone:
    """Modules of transcription factors and the edges between them; the first letter of a module is its stage.

    Parameters
    ----------
    edges
        Source, target and sign.
    lineages
        What a cell can become: the modules that stay silent then.
    decided
        Whether a cell's lineage is given from the start; else its own noise decides.
    on
        Modules with all their proteins at time 0.
    cyclic
        Whether the modules oscillate.
    """

    edges: tuple[tuple[str, str, int], ...]
    lineages: tuple[frozenset[str], ...] = (frozenset(),)
    decided: bool = False
    on: frozenset[str] = frozenset()
    cyclic: bool = False

    @property
    def modules(self) -> list[str]:
        """Names in order, A1 first."""
        return sorted({module for source, target, _ in self.edges for module in (source, target)})

    @property
    def stages(self) -> list[str]:
        """Names in order."""
        return sorted({module[0] for module in self.modules})


def _chain(modules: str) -> tuple[tuple[str, str, int], ...]:
    return tuple((source, target, 1) for source, target in pairwise(modules.split()))


_LEFT, _RIGHT = "A1 A2 B1 B2 C1 C2", "D1 D2 E1 E2 F1 F2"
BACKBONES = {
    "linear": Backbone(edges=_chain("A1 B1 C1 D1 E1 F1")),
    "bifurcating": Backbone(
        edges=(
            *_chain("A1 A2 B1 B2 C1 C2 C3"),
            *_chain("B2 D1 D2 D3"),
            *(("C1", "D1", -1), ("D1", "C1", -1)),
        ),
        lineages=(frozenset({"D1", "D2", "D3"}), frozenset({"C1", "C2", "C3"})),
    ),
    "cyclic": Backbone(
        edges=(
            *(("A1", "A2", 1), ("B1", "B2", 1), ("C1", "C2", 1)),
            *(("A1", "C1", -1), ("C1", "B1", -1), ("B1", "A1", -1)),
        ),
        on=frozenset({"A1", "A2"}),
        cyclic=True,
    ),
    "disconnected": Backbone(
        edges=(*_chain(_LEFT), *_chain(_RIGHT)),
        lineages=(frozenset(_RIGHT.split()), frozenset(_LEFT.split())),
        on=frozenset({"A1", "D1"}),
        decided=True,
    ),
}


@dataclass(frozen=True, kw_only=True)
class Network:
    """Genes (G) and edges (E); transcription factors come first.

    Parameters
    ----------
    genes
        One row a gene: ``gene``, ``role`` and ``module`` (empty unless a transcription factor).
    regulator, target
        Position of the genes of each edge, (E,).
    sign, strength, hill
        Of each edge, (E,): 1 activates and -1 represses; a regulator at 1 / (2 strength) of its maximum acts half.
    """

    genes: pd.DataFrame
    regulator: NDArray[np.integer]
    target: NDArray[np.integer]
    sign: NDArray[np.integer]
    strength: NDArray[np.floating]
    hill: NDArray[np.floating]

    @property
    def n_tfs(self) -> int:
        """Number of transcription factors."""
        return int((self.genes["role"] == TF).sum())

    @cached_property
    def activates(self) -> NDArray[np.floating]:
        """Share of each edge in the activation of each gene, (E, G); columns without activators are 0."""
        share = self._incidence(1)
        return share / np.maximum(share.sum(axis=0), 1)

    @cached_property
    def represses(self) -> NDArray[np.floating]:
        """1 where an edge represses a gene, (E, G)."""
        return self._incidence(-1)

    def _incidence(self, sign: int) -> NDArray[np.floating]:
        matrix = np.zeros((len(self.sign), len(self.genes)))
        matrix[np.arange(len(self.sign)), self.target] = self.sign == sign
        return matrix

    def members(self, modules: frozenset[str]) -> NDArray[np.bool_]:
        """Which genes belong to these modules, (G,)."""
        return np.asarray(self.genes["module"].isin(modules))


def build_network(backbone: Backbone, n_genes: int, rng: np.random.Generator) -> Network:
    """Draw targets and their regulators; a target has one to three, all from one connected part of the backbone.

    Every factor of a module regulates every factor of the next.

    Raises
    ------
    ValueError
        There are fewer genes than transcription factors.
    """
    genes = _genes(backbone, n_genes)
    module = genes["module"].to_numpy()
    edges = [
        (regulator, target, sign, MODULE_STRENGTH[sign], MODULE_HILL)
        for source, sink, sign in backbone.edges
        for regulator, target in product(np.flatnonzero(module == source), np.flatnonzero(module == sink))
    ]
    parts = _parts(backbone)
    for target in np.flatnonzero(genes["role"] == TARGET):
        factors = np.flatnonzero(np.isin(module, parts[rng.integers(len(parts))]))
        for regulator in rng.choice(factors, rng.integers(1, MAX_REGULATORS + 1), replace=False):
            sign = 1 if rng.random() < ACTIVATING else -1
            edges.append((regulator, target, sign, rng.uniform(*TARGET_STRENGTH), TARGET_HILL))
    regulators, targets, signs, strengths, hills = map(np.array, zip(*edges, strict=True))
    return Network(genes=genes, regulator=regulators, target=targets, sign=signs, strength=strengths, hill=hills)


def _genes(backbone: Backbone, n_genes: int) -> pd.DataFrame:
    factors = [f"{module}_TF{i}" for module in backbone.modules for i in range(1, TFS_PER_MODULE + 1)]
    others = n_genes - len(factors)
    if others < 0:
        raise ValueError(
            f"n_features must be at least {len(factors)}, since this backbone has {len(backbone.modules)} modules of "
            f"{TFS_PER_MODULE} transcription factors; found {n_genes}. Ask for more features."
        )
    n_housekeeping = round(HOUSEKEEPING * others)
    n_targets = others - n_housekeeping
    names = [f"target{i + 1}" for i in range(n_targets)] + [f"housekeeping{i + 1}" for i in range(n_housekeeping)]
    roles = [TF] * len(factors) + [TARGET] * n_targets + [HOUSEKEEPER] * n_housekeeping
    modules = [factor.split("_")[0] for factor in factors] + [""] * others
    return pd.DataFrame({"gene": factors + names, "role": roles, "module": modules})


def _parts(backbone: Backbone) -> list[list[str]]:
    """Modules of each connected part of the backbone."""
    modules = np.array(backbone.modules)
    source, target = (np.searchsorted(modules, [edge[i] for edge in backbone.edges]) for i in (0, 1))
    graph = coo_matrix((np.ones(len(source)), (source, target)), shape=(len(modules), len(modules)))
    n_parts, part = connected_components(graph, directed=False)
    return [modules[part == i].tolist() for i in range(n_parts)]
