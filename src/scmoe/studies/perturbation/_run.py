"""`run_perturbation`: a simulated screen of knock-outs, and what can be predicted of it."""

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData
from anndata import concat as concat_cells
from mudata import MuData
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from tqdm.auto import tqdm

from scmoe._keys import GRN
from scmoe._version import __version__
from scmoe.arguments._checked import checks_arguments
from scmoe.datasets.grn._cells import simulate_grn
from scmoe.io._files import check_writable
from scmoe.pp._normalize import log_normalize
from scmoe.studies._report import markdown_table, plus_minus
from scmoe.studies._run import pick_seeds, single_thread, write_result
from scmoe.studies.perturbation._baselines import CONDITION, CONTROL, N_TOP
from scmoe.studies.perturbation._gears_response import check_gears
from scmoe.studies.perturbation._table import N_FOLDS, SCORES, perturbation_table

BACKBONE = "bifurcating"
N_GENES, N_DOUBLES = 100, 12
N_CELLS, N_CELLS_CONTROL = 200, 1000
N_LOADINGS = 10
DECIMALS = 3
HEADS = {
    "mse": "MSE",
    "pearson": "Pearson",
    "mse_top": f"MSE, top {N_TOP}",
    "pearson_top": f"Pearson, top {N_TOP}",
}
GeneFeatures = Callable[[AnnData], NDArray[np.floating]]
"""From control cells (counts) to features of genes, (genes, width)."""


def simulate_screen(seed: int, *, n_cells: int = N_CELLS, n_doubles: int = N_DOUBLES) -> AnnData:
    """Counts of control cells, and of cells without one or two transcription factors, from one simulated network.

    Parameters
    ----------
    seed
        Of the network, the cells and the choice of pairs.
    n_cells
        Cells of each knock-out; there are five times as many controls.
    n_doubles
        Pairs of transcription factors, drawn among those of different modules.

    Returns
    -------
    Cells x 100 genes: RNA of `scmoe.datasets.simulate_grn`, with ``obs["condition"]`` and ``obs["cell_type"]``.
    """
    parts = {CONTROL: _simulated(seed, (N_CELLS_CONTROL * n_cells) // N_CELLS, ())}
    table = parts[CONTROL].uns[GRN]["genes"]
    factors = table[table["role"] == "TF"]
    pairs = [
        (a, b) for (a, m), (b, n) in combinations(zip(factors["gene"], factors["module"], strict=True), 2) if m != n
    ]
    doubles = np.random.default_rng(seed).choice(len(pairs), n_doubles, replace=False)
    sets = [(gene,) for gene in factors["gene"]] + [pairs[i] for i in doubles]
    for genes in tqdm(sets, desc="simulated knock-outs"):
        parts["+".join((*genes, CONTROL)[:2])] = _simulated(seed, n_cells, genes)
    rna = {name: mdata.mod["rna"] for name, mdata in parts.items()}
    screen = concat_cells(rna, label=CONDITION, index_unique="-", merge="same")
    screen.var_names = rna[CONTROL].var["gene"].to_numpy()
    screen.obs["cell_type"] = "simulated"
    return screen


def _simulated(seed: int, n_cells: int, genes: Sequence[str]) -> MuData:
    return simulate_grn(BACKBONE, n_cells=n_cells, n_features=N_GENES, knock_out=genes, seed=seed)


def pca_loadings(control: AnnData) -> NDArray[np.float64]:
    """Loadings of 10 principal components of log-normalized control cells, (genes, 10): which genes vary together."""
    values = np.asarray(log_normalize(control.X).todense())
    return np.asarray(PCA(N_LOADINGS, svd_solver="full").fit(values).components_.T)


FEATURES: Mapping[str, GeneFeatures] = {"PCA loadings": pca_loadings}


@checks_arguments
def run_perturbation(
    output: str | Path,
    *,
    features: Mapping[str, GeneFeatures] = FEATURES,
    seeds: Sequence[int] = (0, 1),
    gears: bool = False,
    quick: bool = False,
) -> pd.DataFrame:
    """Predict the response to unseen knock-outs from features that genes have in unperturbed cells.

    Screens come from `scmoe.datasets.simulate_grn`, since published ones do not come with scmoe: 20
    transcription factors knocked out alone and 12 pairs of them. See `perturbation_table` for methods and scores.

    Parameters
    ----------
    output
        Folder for ``perturbation.json`` and ``perturbation.md``.
    features
        By name, a function from the control cells of a screen (counts) to (genes, width); default 10 PCA loadings.
    seeds
        Of screens, folds and random features.
    gears
        Whether GEARS predicts too; see `perturbation_table`.
    quick
        The first seed, and a fifth of the cells.

    Returns
    -------
    The rows of `perturbation_table` for all seeds, with a column ``seed``.

    Raises
    ------
    ModuleNotFoundError
        GEARS is asked for and not installed.
    ValueError
        Features do not fit the genes, or no seed is given.

    Examples
    --------
    >>> table = scmoe.studies.run_perturbation("perturbation")  # doctest: +SKIP
    """
    if gears:
        check_gears()
    folder = check_writable(output)
    seeds = pick_seeds(seeds, quick=quick)
    n_cells = N_CELLS // 5 if quick else N_CELLS
    tables = []
    with single_thread():
        for seed in seeds:
            screen = simulate_screen(seed, n_cells=n_cells)
            control = screen[screen.obs[CONDITION] == CONTROL].copy()
            of_genes = {name: function(control) for name, function in features.items()}
            tables.append(perturbation_table(of_genes, screen, seed=seed, gears=gears).assign(seed=seed))
    table = pd.concat(tables, ignore_index=True)
    settings = {"n_cells": n_cells, "seeds": seeds, "scmoe": __version__}
    result = {"rows": table.to_dict("records"), "settings": settings}
    write_result(folder, "perturbation", result, perturbation_markdown(table, n_cells))
    return table


def perturbation_markdown(table: pd.DataFrame, n_cells: int) -> str:
    """Mean scores of each method by setting, with the standard deviation over seeds, and how they were made."""
    of_seed = table.groupby(["setting", "method", "seed"], sort=False)[list(SCORES)].mean()
    grouped = of_seed.groupby(["setting", "method"], sort=False)
    mean, spread = grouped.mean(), grouped.std()
    parts = []
    for setting in sorted(table["setting"].unique(), reverse=True):
        rows = []
        for method in mean.loc[setting].index:
            means, spreads = mean.loc[(setting, method)], spread.loc[(setting, method)]
            rows.append([method, *(plus_minus(means[score], spreads[score], DECIMALS) for score in HEADS)])
        parts.append(markdown_table([setting, *HEADS.values()], rows))
    one = table[table["method"] == table["method"].iloc[0]]
    count = ", ".join(f"{n} {setting}" for setting, n in one["setting"].value_counts().items())
    parts.append(
        f"Simulated knock-outs of transcription factors ({BACKBONE}, {N_GENES} genes, {n_cells} cells each), seeds "
        f"{', '.join(map(str, one['seed'].unique()))}. Means over left-out perturbations ({count}), ± the standard "
        "deviation over seeds. What is predicted is the change of each gene in the log-normalized sum of the cells; "
        f"perturbed genes are not scored. {N_FOLDS} folds over perturbed genes and pairs."
    )
    return "\n\n".join(parts) + "\n"
