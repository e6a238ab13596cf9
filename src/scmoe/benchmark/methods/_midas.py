"""MIDAS (`scmidas`): mosaic integration of raw counts."""

import tempfile
from importlib import import_module
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData, concat
from mudata import MuData
from numpy.typing import NDArray

from scmoe._keys import COUNTS_LAYER, UNS_ROOT
from scmoe._matrix import dense
from scmoe.benchmark._cells import subset
from scmoe.benchmark._inputs import Mosaic, Run
from scmoe.benchmark._outputs import Embedding, Integration, Prediction, from_counts
from scmoe.benchmark.methods._method import Method, needs_counts
from scmoe.data._setup import prepared_kinds
from scmoe.io._quiet import quiet_mudata

NAMES = {"rna": "rna", "protein": "adt"}
"""Its name for a modality by kind; it knows no others than these (and peaks by chromosome)."""
PART = "part"
N_STEPS, BATCH_SIZE = 2000, 256
"""Its documentation asks for 1000 to 2000 epochs: hours on a CPU. Cells a step are its default."""
IN_PROCESS = {"num_workers": 0, "persistent_workers": False, "pin_memory": False}


class Midas:
    """A model of MIDAS with its default settings, trained on cells of which any may lack a modality.

    Parameters
    ----------
    mdata
        Prepared data with raw counts of RNA and proteins.
    batch
        Column of ``mdata.obs``. MIDAS wants all cells of a batch to have the same modalities, so each batch is split by
        what its cells have.
    seed
        Of weights and training.
    """

    def __init__(self, mdata: MuData, batch: str | None, seed: int) -> None:
        from lightning import seed_everything

        scmidas = import_module("scmidas")  # no dependency of ours, as it would bring an older torch
        self.kinds = prepared_kinds(mdata, list(mdata.mod))
        cells = _counts(mdata, {name: NAMES[kind] for name, kind in self.kinds.items()}, batch)
        seed_everything(seed, verbose=False)
        scmidas.MIDAS.setup_mudata(cells, batch_key=PART)
        with tempfile.TemporaryDirectory() as folder:
            self.model = scmidas.MIDAS(
                cells, configs={**scmidas.load_config(), **IN_PROCESS}, batch_size=BATCH_SIZE, save_model_path=folder
            )
            self.model.train(
                max_epochs=-(-N_STEPS // -(-cells.n_obs // BATCH_SIZE)),
                accelerator="cpu",
                devices=1,
                logger=False,
                enable_checkpointing=False,
                enable_progress_bar=False,
                enable_model_summary=False,
            )
        self.rows = cells.obs_names.get_indexer(mdata.obs_names)
        self.place = pd.Series(np.arange(mdata.n_obs), index=mdata.obs_names)

    def embedding(self) -> NDArray[np.floating]:
        """The biological latent variables of all cells."""
        return np.asarray(self.model.get_latent_representation())[self.rows]

    def predicted(self, train: MuData, test: MuData, target: str) -> Prediction:
        """The target of the test cells; `train` are the cells with all modalities, for the lines of `from_counts`."""
        kind = self.kinds[target]
        expected = np.asarray(self.model.get_imputed_values(modality=NAMES[kind]))[self.rows]
        known, new = (expected[self.place[cells.obs_names]] for cells in (train, test))
        return Prediction(values=from_counts(known, new, kind, dense(train.mod[target].X)))


def predict(train: MuData, test: MuData, run: Run) -> Prediction:
    """The target of the test cells, which are in training without it, as the model places only cells it has seen."""
    source, target = run.source, run.target
    with quiet_mudata():
        parts: dict[str, Any] = {
            source: concat([train.mod[source], test.mod[source]], merge="same"),
            target: train.mod[target].copy(),
        }
        both = MuData(parts)
    both.obs = pd.concat([train.obs, test.obs]).loc[both.obs_names]
    both.uns[UNS_ROOT] = train.uns[UNS_ROOT]
    both = subset(both, both.obs_names, [source, target])
    return Midas(both, run.batch, run.seed).predicted(train, test, target)


def integrate(mosaic: Mosaic, run: Run) -> Integration:
    """An embedding of all cells and both missing modalities by one model."""
    midas = Midas(mosaic.cells, run.batch, run.seed)
    return Integration(
        points=midas.embedding(),
        second=midas.predicted(mosaic.paired, mosaic.first_only, run.target),
        first=midas.predicted(mosaic.paired, mosaic.second_only, run.source),
    )


def _counts(mdata: MuData, names: dict[str, str], batch: str | None) -> MuData:
    """Raw counts under the names that MIDAS knows, cells in one order, with the batch and what each cell has."""
    has = pd.DataFrame({name: mdata.obs_names.isin(mdata.mod[name].obs_names) for name in mdata.mod})
    part = has.apply(lambda row: "+".join(row.index[row]), axis=1)
    if batch is not None:
        part = mdata.obs[batch].astype(str).to_numpy() + ":" + part
    obs = pd.DataFrame({PART: part.to_numpy()}, index=mdata.obs_names)
    with quiet_mudata():
        cells = {}
        for name, midas_name in names.items():
            adata = mdata.mod[name][mdata.obs_names[has[name]]]
            cells[midas_name] = AnnData(adata.layers[COUNTS_LAYER], obs=obs.loc[adata.obs_names], var=adata.var[[]])
        return MuData(cells)


METHOD = Method(
    name="midas",
    embed=lambda mdata, run: Embedding(points=Midas(mdata, run.batch, run.seed).embedding()),
    predict=predict,
    integrate=integrate,
    unsuited=lambda run, facts: needs_counts(facts, "rna", "protein"),
    libraries=("scmidas",),
    slow=True,
)
