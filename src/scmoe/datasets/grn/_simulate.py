"""Cells as snapshots of independent trajectories, and their place on the trajectory without noise."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from scmoe.datasets.grn._kinetics import COPIES, Kinetics, State, leap, open_share, steady_state
from scmoe.datasets.grn._network import Backbone

N_DELAYS = 3
"""Delays per module that the trajectory without noise is followed for: for any rates more than one whole cycle."""
MAX_STEPS = 10_000


@dataclass(frozen=True, kw_only=True)
class Reference:
    """The trajectory without noise: points (P) of all lineages one after the other.

    Parameters
    ----------
    factors
        Proteins of the transcription factors, divided by their maxima, (P, TFs).
    lineage, stage, pseudotime
        Of each point; pseudotime runs from 0 to 1 in each lineage.
    first, last
        Hours between which cells are taken.
    """

    factors: NDArray[np.floating]
    lineage: NDArray[np.integer]
    stage: NDArray[np.str_]
    pseudotime: NDArray[np.floating]
    first: float
    last: float


@dataclass(frozen=True)
class Cells:
    """Snapshots: molecules (4, N, G), and by cell the hours simulated, stage and pseudotime."""

    state: State
    hours: NDArray[np.floating]
    stage: NDArray[np.str_]
    pseudotime: NDArray[np.floating]

    def take(self, index: NDArray[np.integer]) -> "Cells":
        """These cells, in this order."""
        return Cells(self.state[:, index], self.hours[index], self.stage[index], self.pseudotime[index])


def join(first: Cells, second: Cells) -> Cells:
    """All cells of both."""
    return Cells(
        np.concatenate([first.state, second.state], axis=1),
        np.concatenate([first.hours, second.hours]),
        np.concatenate([first.stage, second.stage]),
        np.concatenate([first.pseudotime, second.pseudotime]),
    )


def make_reference(backbone: Backbone, kinetics: Kinetics) -> Reference:
    """Follow each lineage without noise, and cut it into stages: one begins when its first module is half on.

    The last stage of a lineage that ends lasts as long as the longest of the others. A cycle is cut from one rise of
    its first module to the next.

    Raises
    ------
    ValueError
        The rates are too far apart.
    """
    n_steps = round(N_DELAYS * len(backbone.modules) * kinetics.delay / kinetics.step)
    if n_steps > MAX_STEPS:
        raise ValueError(
            f"The slowest and the fastest of the rates are too far apart: {n_steps} steps would be needed, and at most "
            f"{MAX_STEPS} are taken. Bring them closer together."
        )
    awake = _awake(backbone, kinetics)
    state, path = _start(backbone, kinetics, awake), []
    for _ in range(n_steps):
        path.append(state[3, :, : kinetics.network.n_tfs] / kinetics.max_protein[: kinetics.network.n_tfs])
        state = leap(state, awake * open_share(state[3], kinetics), kinetics, kinetics.step, None)
    factors = np.stack(path, axis=1)  # (lineages, steps, TFs)
    cuts = [_cut(backbone, kinetics, silent, steps) for silent, steps in zip(backbone.lineages, factors, strict=True)]
    lengths = [last - first for first, last, _ in cuts]
    return Reference(
        factors=np.concatenate([steps[cut[0] : cut[1]] for steps, cut in zip(factors, cuts, strict=True)]),
        lineage=np.repeat(np.arange(len(cuts)), lengths),
        stage=np.concatenate([stage for _, _, stage in cuts]),
        pseudotime=np.concatenate([np.linspace(0, 1, length) for length in lengths]),
        first=kinetics.step * min(cut[0] for cut in cuts),
        last=kinetics.step * max(cut[1] for cut in cuts),
    )


def _cut(
    backbone: Backbone, kinetics: Kinetics, silent: frozenset[str], factors: NDArray[np.floating]
) -> tuple[int, int, NDArray[np.str_]]:
    """First step, last step (excluded) and the stages of the steps between, of one lineage, (steps, TFs)."""
    module = kinetics.network.genes["module"].to_numpy()[: factors.shape[1]]
    rises = {}
    for stage in backbone.stages:
        first = f"{stage}1"
        if first not in silent:
            level = factors[:, module == first].mean(axis=1)
            half = (level.min() + level.max()) / 2
            rises[stage] = np.flatnonzero((level[:-1] < half) & (level[1:] >= half)) + 1
    if backbone.cyclic:
        start, stop = (int(step) for step in rises["A"][:2])
        onsets = [(int(at), stage) for stage, steps in rises.items() for at in steps if start <= at < stop]
    else:
        onsets = [(int(steps[0]) if i else 0, stage) for i, (stage, steps) in enumerate(rises.items())]
        start, stop = 0, onsets[-1][0] + int(np.diff([at for at, _ in onsets]).max())
    at, names = zip(*sorted(onsets), strict=True)
    return start, stop, np.repeat(names, np.diff([*at, stop]))


def simulate_cells(
    backbone: Backbone,
    kinetics: Kinetics,
    reference: Reference,
    n_cells: int,
    rng: np.random.Generator,
    knocked_out: Sequence[int] = (),
) -> Cells:
    """Run one trajectory a cell, each to a time of its own, and find the point of the reference that it is nearest to.

    Parameters
    ----------
    backbone, kinetics, reference
        What happens without a knock-out.
    n_cells
        Number of cells.
    rng
        Times, lineages (if decided from the start) and reactions.
    knocked_out
        Positions of genes without production; they do not count for the distance to the reference.
    """
    lineage = rng.permutation(np.arange(n_cells) % len(backbone.lineages))
    spread = (rng.permutation(n_cells) + rng.random(n_cells)) / n_cells
    hours = reference.first + (reference.last - reference.first) * spread
    awake = _awake(backbone, kinetics)[lineage] if backbone.decided else np.ones((n_cells, len(kinetics.network.genes)))
    run = kinetics.without(knocked_out)
    state = _run(_start(backbone, run, awake), awake, run, np.rint(hours / run.step).astype(int), rng)
    mask = ~np.isin(np.arange(reference.factors.shape[1]), knocked_out)
    factors = (state[3, :, : len(mask)] / kinetics.max_protein[: len(mask)])[:, mask]
    distance = cdist(factors, reference.factors[:, mask])
    if backbone.decided:
        distance[lineage[:, None] != reference.lineage] = np.inf
    nearest = distance.argmin(axis=1)
    return Cells(state, hours, reference.stage[nearest], reference.pseudotime[nearest])


def _awake(backbone: Backbone, kinetics: Kinetics) -> NDArray[np.floating]:
    """1 where a lineage's promoters can open, (lineages, genes)."""
    return np.stack([1.0 - kinetics.network.members(silent) for silent in backbone.lineages])


def _start(backbone: Backbone, kinetics: Kinetics, awake: NDArray[np.floating]) -> State:
    """Expected numbers at time 0, (4, cells, genes): transcription factors off, but for modules that begin on."""
    network = kinetics.network
    on = awake * network.members(backbone.on)
    p_open = np.where(network.genes["module"] == "", open_share(steady_state(on, kinetics)[3], kinetics), on)
    return steady_state(p_open, kinetics)


def _run(
    means: State,
    awake: NDArray[np.floating],
    kinetics: Kinetics,
    n_steps: NDArray[np.integer],
    rng: np.random.Generator,
) -> State:
    """Draw the state at time 0 and run each cell for its number of steps."""
    state = rng.poisson(means)
    state[0] = rng.binomial(COPIES, means[0] / COPIES)
    # Cells that run longest come first, so those still running are a slice.
    order = np.argsort(-n_steps)
    state, awake = state[:, order], awake[order]
    for step in range(n_steps.max()):
        running = int((n_steps > step).sum())
        now = state[:, :running]
        p_open = awake[:running] * open_share(now[3], kinetics)
        state[:, :running] = leap(now, p_open, kinetics, kinetics.step, rng)
    return np.asarray(state[:, np.argsort(order)])
