"""Every method of the comparison on the same cells, stored otherwise: its scores are the same.

Here the second modality has its cells in an order of its own, counts are int64 in CSC, columns have categories that no
cell has, and in some data cells lack a modality. A method that cannot read the last says so, and has no score.
"""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from mudata import MuData
from scipy import sparse

from scmoe.benchmark._inputs import Facts, Run
from scmoe.benchmark._plan import cases_of, reason_to_skip, select_methods
from scmoe.benchmark._tasks import perform
from scmoe.benchmark.methods import (
    _actinn,
    _embed,
    _gene_pairs,
    _midas,
    _scbert,
    _scbert_network,
    _scvi,
    _unitednet_network,
)
from scmoe.benchmark.methods._registry import METHODS
from scmoe.data._setup import prepared_kinds
from scmoe.io._quiet import quiet_mudata
from scmoe.pp._prepare import prepare

TASKS = ("embed", "predict", "annotate", "mosaic", "map")
SLOW = ("wnn", "totalvi", "multivi", "scvi_logreg", "scanvi", "midas", "scbert", "actinn")
N_CELLS = 120


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name in ((_scvi, "MAX_EPOCHS"), (_scvi, "SCANVI_STEPS"), (_midas, "N_STEPS")):
        monkeypatch.setattr(module, name, 1)
    monkeypatch.setattr(_scvi, "multivi_epochs", lambda n_cells: 1)
    monkeypatch.setattr(_embed, "N_FACTORS", 3)
    monkeypatch.setattr(_unitednet_network, "N_STEPS", 2)
    monkeypatch.setattr(_gene_pairs, "N_TREES", 5)
    monkeypatch.setattr(_actinn, "N_STEPS", 20)
    monkeypatch.setattr(_actinn, "N_EPOCHS", 2)
    monkeypatch.setattr(_scbert, "N_GENES", 20)
    monkeypatch.setattr(_scbert_network, "N_PRETRAINING", 2)
    monkeypatch.setattr(_scbert_network, "N_STEPS", 5)


def stored(
    second: str,
    *,
    is_other: bool = False,
    lacking: int = 0,
) -> MuData:
    """Genes, and proteins or peaks, of the same cells; stored otherwise if `is_other`."""
    rng = np.random.default_rng(0)
    kind = np.arange(N_CELLS) % 3
    names = pd.Index([f"cell{i}" for i in range(N_CELLS)])
    sizes = {"rna": (30, 1.0), second: (20, 8.0 if second == "adt" else 0.4)}
    mods = {}
    for name, (n, level) in sizes.items():
        values = rng.poisson(np.where(np.arange(n) % 3 == kind[:, None], 4 * level, level))
        features = [f"chr1:{100 * i}-{100 * i + 99}" if name == "atac" else f"{name}{i}" for i in range(n)]
        x = sparse.csc_matrix(values.astype(np.int64)) if is_other else sparse.csr_matrix(values.astype(np.float32))
        mods[name] = AnnData(x, obs=pd.DataFrame(index=names), var=pd.DataFrame(index=features))
    mods[second] = mods[second][lacking:].copy()
    if is_other:
        mods[second] = mods[second][rng.permutation(mods[second].n_obs)].copy()
    with quiet_mudata():
        mdata = MuData(mods)
        unused = [["none"], ["none"]] if is_other else [[], []]
        for key, values, more in zip(
            ("cell_type", "batch"), (np.array(list("BNT"))[kind], kind % 2), unused, strict=True
        ):
            text = pd.Series(values, index=names).astype(str)
            mdata.obs[key] = pd.Categorical(text[mdata.obs_names], [*more, *sorted(text.unique())])
    return mdata


def facts_of(mdata: MuData) -> Facts:
    return Facts(
        kinds=prepared_kinds(mdata, list(mdata.mod)),
        n_cells=mdata.n_obs,
        complete=all(adata.n_obs == mdata.n_obs for adata in mdata.mod.values()),
        n_labels=3,
        n_batches=2,
    )


def run_of(task: str, method: str, facts: Facts) -> Run | None:
    """The first case of a task that a method can do; None if it can do none."""
    for case in cases_of(task, facts):
        run = Run(task=task, method=method, seed=0, data="", labels="cell_type", batch="batch", **case)
        if not reason_to_skip(run, facts):
            return run
    return None


def second_of(method: str) -> str:
    return "atac" if method == "multivi" else "adt"


def all_runs() -> list[Any]:
    facts = {
        name: Facts(kinds={"rna": "rna", name: kind}, n_cells=N_CELLS, complete=True, n_labels=3, n_batches=2)
        for name, kind in (("adt", "protein"), ("atac", "peaks"))
    }
    pairs = [
        (task, method.name)
        for task in TASKS
        for method in select_methods(task, facts["adt"].kinds, None)
        if method.settings is None  # of our own models, tests/model/test_order.py
    ]
    return [pytest.param(*pair, marks=pytest.mark.slow if pair[1] in SLOW else ()) for pair in pairs]


def scores(task: str, method: str, **layout: Any) -> dict[str, float] | None:
    mdata = stored(second_of(method), **layout)
    facts_from = stored(second_of(method), **layout)
    prepare(facts_from)
    run = run_of(task, method, facts_of(facts_from))
    if run is None:
        return None
    return perform(mdata if task == "map" else facts_from, run)["scores"]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("task", "method"), all_runs())
def test_scores_do_not_depend_on_how_cells_are_stored(task: str, method: str) -> None:
    for library in METHODS[method].libraries if method in METHODS else ():
        pytest.importorskip(library)
    expected, found = (scores(task, method, is_other=is_other) for is_other in (False, True))
    if expected is None:
        pytest.skip("not for two complete modalities of this kind")
    assert found == pytest.approx(expected, abs=1e-5)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("task", "method"), all_runs())
def test_cells_that_lack_a_modality_are_read_rightly_or_not_at_all(task: str, method: str) -> None:
    for library in METHODS[method].libraries if method in METHODS else ():
        pytest.importorskip(library)
    expected, found = (scores(task, method, is_other=is_other, lacking=15) for is_other in (False, True))
    assert (expected is None) == (found is None)
    if expected is not None:
        assert found == pytest.approx(expected, abs=1e-5) and len(expected) > 2
