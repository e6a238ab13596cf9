"""Whether predictions of a type of cells change more without the expert that it prefers than without a random one.

``python tests/benchmark/expert_ablation.py [seeds]`` trains the default on simulated regimes and on the bundled cells,
and prints, over types of at least ten new cells: the use of the preferred expert over its load, the change without it
over that expected of a random expert of equal load, in how many types it is larger, and the change for its use.
"""

import logging
import sys
import warnings

import numpy as np
from mudata import MuData

import scmoe
from scmoe.explain import expert_ablation_table
from scmoe.studies.experts._regimes import REGIME, simulate_regimes

MIN_CELLS = 10
N_CELLS = 1000


def main() -> None:
    """Train and print."""
    warnings.simplefilter("ignore")
    logging.getLogger("scmoe").setLevel(logging.ERROR)
    for seed in map(int, sys.argv[1:] or ["0", "1", "2"]):
        cells = scmoe.datasets.bmmc_cite()
        scmoe.pp.prepare(cells)
        for name, mdata, types in (
            ("8 regimes", simulate_regimes(N_CELLS, seed), REGIME),
            ("bmmc_cite", cells, "cell_type"),
        ):
            print(f"{name}, seed {seed}: {line(mdata, types, seed)}", flush=True)


def line(mdata: MuData, types: str, seed: int) -> str:
    """Train, and compare on test cells."""
    scmoe.model.SCMOE.setup_mudata(mdata)
    model = scmoe.model.SCMOE(mdata, seed=seed)
    model.train(accelerator="cpu", enable_progress_bar=False, train_size=0.7, validation_size=0.1)
    use, change = model.get_expert_ablation(indices=model.test_indices)
    table = expert_ablation_table(use, change, mdata.obs[types].iloc[model.test_indices])
    table = table[(table["group"] != "all cells") & (table["n_cells"] >= MIN_CELLS)]
    table["lift"] = table["use"] / table["load"]
    table["ratio"] = table["change"] / table["expected"]
    preferred = table.loc[table.groupby("group")["lift"].idxmax()]
    above = int((preferred["ratio"] > 1).sum())
    for_use = preferred["ratio"] / preferred["lift"]
    return (
        f"{len(preferred)} types; use / load {preferred['lift'].median():.2f}; change / expected "
        f"{preferred['ratio'].median():.2f}, above 1 in {above}; change / expected for its use {for_use.median():.2f} "
        f"(medians); all experts and types: correlation of both {np.corrcoef(table['lift'], table['ratio'])[0, 1]:.2f}"
    )


if __name__ == "__main__":
    main()
