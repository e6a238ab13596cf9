"""GEARS as a predictor of perturbations, on screens whose genes no ontology knows.

It needs ``cell-gears`` and ``torch-geometric``, and scipy below 1.15: GEARS 0.1.2 selects rows of sparse matrices with
columns of pandas, which later ones refuse.
"""

import io
import pickle
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from anndata import AnnData
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from scmoe.studies.perturbation._baselines import CONDITION, CONTROL, Responses, responses
from scmoe.studies.perturbation._gears import to_gears

PACKAGES = {"gears": "cell-gears", "torch_geometric": "torch-geometric"}
N_EPOCHS, BATCH_SIZE = 4, 32
"""GEARS halves its learning rate in each epoch: 4 epochs go 94 % of the way of its 20."""
N_SIMILAR = 20
"""Genes that a gene is joined to, as in GEARS."""


def check_gears() -> None:
    """Raise if GEARS cannot be imported."""
    missing = [package for module, package in PACKAGES.items() if find_spec(module) is None]
    if missing:
        raise ModuleNotFoundError(
            f'GEARS needs {" and ".join(missing)}: pip install cell-gears torch-geometric "scipy<1.15", best in an '
            "environment of its own. Or leave gears=True out."
        )


def gears_response(screen: AnnData, unseen: Sequence[str], seed: int) -> NDArray[np.float64]:
    """The response to perturbations that GEARS has not seen.

    In place of its graph of gene ontology, which knows no simulated genes, GEARS gets the correlations of genes in
    control cells. What it predicts is the mean of logarithms of cells; its changes are brought to the scale of
    `responses` by one factor, which fits the known perturbations best.

    Parameters
    ----------
    screen
        Cells of the control and of the known perturbations, as in `responses`.
    unseen
        Conditions to predict.
    seed
        Of weights, batches and the perturbations that stop the training.

    Returns
    -------
    (unseen, genes), the predicted change.
    """
    cells = to_gears(screen, np.zeros((screen.n_vars, 1)))
    cells.X = csr_matrix(cells.X)
    sets = [[gene for gene in name.split("+") if gene != CONTROL] for name in unseen]
    gears = import_module("gears")
    with TemporaryDirectory() as folder, _own_random_numbers(seed), _silence():
        predicted = _trained(gears, cells, Path(folder), seed).predict(sets)
    control = _means(cells, [CONTROL])[0]
    change = np.stack([predicted["_".join(genes)] for genes in sets]).astype(np.float64) - control
    known = responses(screen)
    return change * _factor(known, _means(cells, known.name) - control)


def _trained(gears: Any, cells: AnnData, folder: Path, seed: int) -> Any:
    """GEARS after training on all cells but those of a tenth of the perturbations, which choose the epoch."""
    with (folder / "gene2go_all.pkl").open("wb") as file:  # else GEARS downloads one
        pickle.dump({gene: {gene} for gene in cells.var_names}, file)
    data = gears.PertData(str(folder), default_pert_graph=False)
    data.new_data_process("screen", adata=cells.copy())
    data.prepare_split(split="no_test", seed=seed)
    data.get_dataloader(BATCH_SIZE)
    model = gears.GEARS(data, device="cpu")
    edges, weights = similar_genes(cells[cells.obs[CONDITION] == CONTROL, list(model.pert_list)])
    model.model_initialize(G_go=torch.from_numpy(edges), G_go_weight=torch.from_numpy(weights))
    model.train(epochs=N_EPOCHS)
    return model


def similar_genes(control: AnnData) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Edges (2, E) from the genes that correlate most with a gene, itself among them, to it; and their |r|, (E,)."""
    values = control.X.toarray()
    with np.errstate(invalid="ignore"):  # of genes without variation
        r = np.abs(np.nan_to_num(np.corrcoef(values.T)))
    nearest = np.argsort(-r, axis=1, kind="stable")[:, : N_SIMILAR + 1]
    target = np.repeat(np.arange(len(r)), nearest.shape[1])
    return np.stack([nearest.ravel(), target]), r[target, nearest.ravel()].astype(np.float32)


def _means(cells: AnnData, conditions: Sequence[str]) -> NDArray[np.float64]:
    """Mean logarithms (conditions, genes)."""
    condition = cells.obs[CONDITION].astype(str).to_numpy()
    return np.stack([np.asarray(cells.X[condition == name].mean(axis=0)).ravel() for name in conditions])


def _factor(known: Responses, change: NDArray[np.float64]) -> float:
    """What takes changes of mean logarithms to those of the sum of the cells, with the least squared error."""
    x, y = change[~known.perturbed], known.change[~known.perturbed]
    return float((x * y).sum() / max(np.square(x).sum(), np.finfo(float).tiny))


@contextmanager
def _silence() -> Iterator[None]:
    """GEARS tells each step."""
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        yield


@contextmanager
def _own_random_numbers(seed: int) -> Iterator[None]:
    """GEARS draws from the global generators, which are left as they were."""
    state = np.random.get_state()
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            np.random.seed(seed)
            yield
    finally:
        np.random.set_state(state)
