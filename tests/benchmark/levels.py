"""Names at each level of a tree of labels, in cells held out of training: ``python tests/benchmark/levels.py``.

The bundled bone marrow, 41 types in 4 lineages (its columns ``lineage`` and ``cell_type``), five folds of cells. Prints
the table of `scmoe.metrics.level_accuracy`, and writes its figure to the file that is named, if one is.
"""

import sys

import numpy as np
import pandas as pd

import scmoe

N_FOLDS = 5


def held_out(fold: int, folds: np.ndarray) -> pd.DataFrame:
    """Names and their probabilities in the cells of a fold, by a model of the others."""
    mdata = scmoe.datasets.bmmc_cite()
    train, test = mdata[folds != fold].copy(), mdata[folds == fold].copy()
    for part in (train, test):
        for name in list(part.obs.select_dtypes("category")):
            part.obs[name] = part.obs[name].cat.remove_unused_categories()
        scmoe.pp.prepare(part)
    model = scmoe.tl.train(train, batch_key="batch", labels_key="cell_type", seed=fold)
    scmoe.tl.annotate(test, model, hierarchy=train.obs[["lineage", "cell_type"]])
    return test.obs[["lineage", "cell_type", "scmoe_label_rollup", "scmoe_label_rollup_confidence"]].astype(
        {"lineage": str, "cell_type": str, "scmoe_label_rollup": str}
    )


def main(figure: str | None = None) -> None:
    mdata = scmoe.datasets.bmmc_cite()
    folds = np.random.default_rng(0).permutation(np.arange(mdata.n_obs) % N_FOLDS)
    cells = pd.concat([held_out(fold, folds) for fold in range(N_FOLDS)])
    table = scmoe.metrics.level_accuracy(
        cells["cell_type"],
        cells["scmoe_label_rollup"],
        cells["scmoe_label_rollup_confidence"],
        hierarchy=cells[["lineage", "cell_type"]],
        labels=sorted(set(cells["cell_type"])),
    )
    print(table.round(3).to_string())
    print(f"no name: {int((cells['scmoe_label_rollup'] == 'Unknown').sum())} of {len(cells)} cells")
    if figure is not None:
        scmoe.pl.level_accuracy(table, save=figure)


if __name__ == "__main__":
    main(*sys.argv[1:])
