"""From transcription-factor proteins to promoters, pre-mRNA, mRNA and proteins: rates, laws and one step in time."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scmoe.datasets.grn._network import TF, Network

COPIES = 2
"""Promoters of a gene, one on each chromosome."""
BASAL = 0.02
"""Share of the time that a promoter with activators is open without any of them."""
TARGET_SPREAD = 0.3
"""Standard deviation of the logarithm of the rates of genes besides transcription factors."""
MAX_BOUND = 1 - 1e-12
"""Keeps the logarithm of the free share finite."""
MAX_MOLECULES = 2**24
"""Mean number up to which float32 holds whole numbers."""
MAX_EVENT = 0.5
"""Largest probability that one molecule reacts within one step."""

State = NDArray[Any]
"""Open promoters, pre-mRNA, mRNA and proteins: (4, cells, genes)."""


@dataclass(frozen=True, kw_only=True)
class Rates:
    """Rates per hour, near those of dyngen but for production, which is slower: few molecules make noise.

    Parameters
    ----------
    switching
        At which a promoter takes its state anew.
    transcription
        Pre-mRNA molecules made while all promoters of a gene are open.
    splicing
        Per pre-mRNA molecule.
    rna_decay
        Per mRNA molecule.
    translation
        Protein molecules made per mRNA molecule.
    protein_decay
        Per protein molecule.
    """

    switching: float = 0.2
    transcription: float = 5.0
    splicing: float = float(np.log(2) / 2)
    rna_decay: float = float(np.log(2) / 3.5)
    translation: float = 1.0
    protein_decay: float = float(np.log(2) / 7)

    def __post_init__(self) -> None:
        """Refuse rates that are not positive numbers."""
        for field in fields(self):
            value = getattr(self, field.name)
            if not isinstance(value, Real) or not 0 < float(value) < float("inf"):
                raise ValueError(f"rates[{field.name!r}] must be a positive number per hour; found {value!r}.")


def make_rates(values: Mapping[str, float]) -> Rates:
    """The default rates with those given.

    Raises
    ------
    ValueError
        A rate is unknown or not positive.
    """
    known = [field.name for field in fields(Rates)]
    for name in values:
        if name not in known:
            raise ValueError(f"There is no rate {name!r}; choose from {', '.join(known)}.")
    return Rates(**values)


@dataclass(frozen=True, kw_only=True)
class Kinetics:
    """A network with the rates of each gene, (G,), and `max_protein`, the mean number while all promoters are open."""

    network: Network
    switching: NDArray[np.floating]
    transcription: NDArray[np.floating]
    splicing: NDArray[np.floating]
    rna_decay: NDArray[np.floating]
    translation: NDArray[np.floating]
    protein_decay: NDArray[np.floating]
    max_protein: NDArray[np.floating]

    @cached_property
    def threshold(self) -> NDArray[np.floating]:
        """Regulator proteins at which an edge acts half, (E,)."""
        return np.asarray(self.max_protein[self.network.regulator] / (2 * self.network.strength))

    @cached_property
    def losses(self) -> NDArray[np.floating]:
        """Rates at which one promoter or molecule changes, (4, G)."""
        return np.stack([self.switching, self.splicing, self.rna_decay, self.protein_decay])

    @property
    def delay(self) -> float:
        """Mean hours from a signal to the loss of a protein that it led to, of the first transcription factor."""
        return float((1 / self.losses[:, 0]).sum())

    @property
    def step(self) -> float:
        """Hours of one step: no molecule reacts with a probability above one half."""
        return MAX_EVENT / float(self.losses.max())

    def without(self, genes: Sequence[int]) -> "Kinetics":
        """The same with no production of these genes; thresholds stay."""
        transcription = self.transcription.copy()
        transcription[list(genes)] = 0
        return replace(self, transcription=transcription)


def draw_kinetics(network: Network, rates: Rates, rng: np.random.Generator) -> Kinetics:
    """Give every gene its rates: transcription factors the same, so that no branch is favored; others around them.

    Raises
    ------
    ValueError
        A gene would have too many molecules.
    """
    spread = np.where(network.genes["role"] == TF, 0.0, TARGET_SPREAD)
    values = {name: value * np.exp(spread * rng.normal(size=len(spread))) for name, value in asdict(rates).items()}
    max_protein = values["transcription"] * values["translation"] / (values["rna_decay"] * values["protein_decay"])
    kinetics = Kinetics(network=network, max_protein=max_protein, **values)
    most = float(steady_state(np.ones((1, len(spread))), kinetics).max())
    if not most <= MAX_MOLECULES:
        raise ValueError(
            f"With these rates a cell would have {most:.3g} molecules of a gene; at most {MAX_MOLECULES:,} can be "
            "counted. Lower transcription or translation, or raise the rates of loss."
        )
    return kinetics


def hill(protein: NDArray[np.number], threshold: NDArray[np.floating], n: NDArray[np.floating]) -> NDArray[np.floating]:
    """Share of the time that a regulator is bound, x^n / (K^n + x^n), for x proteins and the threshold K."""
    x = (protein / threshold) ** n
    return np.asarray(x / (1 + x))


def open_share(protein: NDArray[np.number], kinetics: Kinetics) -> NDArray[np.floating]:
    """Share of the time that each promoter is open: activators add up, and any repressor blocks.

    p = (b + (1 - b) mean_a h_a) prod_r (1 - h_r), over activators a and repressors r; 1 - h_r alone without activators.

    Parameters
    ----------
    protein
        Molecules, (cells, genes).
    kinetics
        Edges and thresholds.

    Returns
    -------
    (cells, genes), from 0 to 1.
    """
    network = kinetics.network
    bound = hill(protein[:, network.regulator], kinetics.threshold, network.hill)
    active = BASAL + (1 - BASAL) * (bound @ network.activates)
    unblocked = np.exp(np.log1p(-np.minimum(bound, MAX_BOUND)) @ network.represses)
    return np.asarray(np.where(network.activates.any(axis=0), active, 1.0) * unblocked)


def leap(
    state: State, p_open: NDArray[np.floating], kinetics: Kinetics, hours: float, rng: np.random.Generator | None
) -> State:
    """One step of binomial tau-leaping :cite:p:`tian2004`, or of its mean.

    Each of x molecules reacts with probability (rate x hours), so no number gets negative, and a species with constant
    production is Poisson distributed with the exact mean, whatever the step.

    Parameters
    ----------
    state
        At the beginning, (4, cells, genes).
    p_open
        Share of the time that each promoter is open, (cells, genes).
    kinetics
        Rates.
    hours
        Length of the step; at most ``kinetics.step``.
    rng
        None: the expected numbers, without noise.
    """
    dna, pre, rna, protein = state
    switch = kinetics.switching * hours
    openings = _binomial(rng, COPIES - dna, switch * p_open) - _binomial(rng, dna, switch * (1 - p_open))
    transcripts = _poisson(rng, kinetics.transcription * hours / COPIES * dna)
    splicings = _binomial(rng, pre, kinetics.splicing * hours)
    rna_decays = _binomial(rng, rna, kinetics.rna_decay * hours)
    translations = _poisson(rng, kinetics.translation * hours * rna)
    protein_decays = _binomial(rng, protein, kinetics.protein_decay * hours)
    return np.stack(
        [
            dna + openings,
            pre + transcripts - splicings,
            rna + splicings - rna_decays,
            protein + translations - protein_decays,
        ]
    )


def steady_state(p_open: NDArray[np.floating], kinetics: Kinetics) -> State:
    """Numbers at which production and loss balance, (4, cells, genes), for promoters open a fixed share of the time."""
    pre = kinetics.transcription * p_open / kinetics.splicing
    rna = kinetics.splicing * pre / kinetics.rna_decay
    return np.stack([COPIES * p_open, pre, rna, kinetics.translation * rna / kinetics.protein_decay])


def _binomial(rng: np.random.Generator | None, n: State, p: NDArray[np.floating]) -> State:
    return n * p if rng is None else rng.binomial(n, p)


def _poisson(rng: np.random.Generator | None, mean: NDArray[np.floating]) -> State:
    return mean if rng is None else rng.poisson(mean)
