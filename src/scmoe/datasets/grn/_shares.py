"""As many cells of each stage as were asked for."""

from collections.abc import Callable, Mapping

import numpy as np

from scmoe.datasets.grn._simulate import Cells, join

OTHERS = "the other stages"
MAX_POOL = 20
"""Simulated cells for each cell returned, at most."""


def cells_with_shares(
    simulate: Callable[[], Cells], n_cells: int, shares: Mapping[str, float], rng: np.random.Generator
) -> Cells:
    """Simulate until there are enough cells of every stage, and draw the wanted numbers from them.

    Parameters
    ----------
    simulate
        Each call gives `n_cells` new cells.
    n_cells
        Number of cells returned.
    shares
        Of some stages; the others share the rest as they come.
    rng
        Draws among the cells of a stage.

    Raises
    ------
    ValueError
        A stage is reached so rarely that 20 times as many cells do not suffice.
    """
    edges = np.rint(n_cells * np.cumsum([0.0, *shares.values()])).astype(int)
    numbers = {**dict(zip(shares, np.diff(edges).tolist(), strict=True)), OTHERS: n_cells - int(edges[-1])}
    pool = simulate()
    for _ in range(MAX_POOL):
        cells = {stage: np.flatnonzero(pool.stage == stage) for stage in shares}
        cells[OTHERS] = np.flatnonzero(~np.isin(pool.stage, list(shares)))
        scarce = [stage for stage, number in numbers.items() if len(cells[stage]) < number]
        if not scarce:
            samples = [rng.choice(cells[stage], number, replace=False) for stage, number in numbers.items()]
            return pool.take(rng.permutation(np.concatenate(samples)))
        pool = join(pool, simulate())
    raise ValueError(
        f"stage_shares asks for {numbers[scarce[0]]} cells of {scarce[0]}, but only {len(cells[scarce[0]])} of "
        f"{len(pool.stage)} simulated cells are there. Ask for other shares, or knock out another gene."
    )
