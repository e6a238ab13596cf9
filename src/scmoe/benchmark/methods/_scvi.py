"""The models of scvi-tools, with its defaults: of two modalities, and of RNA with labels."""

from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from scmoe._keys import COUNTS_LAYER
from scmoe._matrix import dense
from scmoe.benchmark._inputs import PREDICT, Facts, Fold, Run
from scmoe.benchmark._outputs import Embedding, Prediction, QueryMapping, from_counts
from scmoe.benchmark.methods._annotate import MAX_ITERATIONS
from scmoe.benchmark.methods._method import Method, needs_complete_cells, needs_counts
from scmoe.data._setup import prepared_kinds
from scmoe.io._quiet import quiet_mudata

PROTEINS, PART, BATCH = "proteins", "part", "batch"
TRAINED, HELD_OUT = "training", "held out"
MAX_EPOCHS = 400
"""The default of totalVI for small data, with early stopping."""
MULTIVI_EPOCHS, MULTIVI_STEPS = 500, 20_000
"""Its default is meant for many cells: at its learning rate, a tenth of scVI's, few cells need more epochs. It may take
so many steps at least; early stopping may end the training before."""
STEP_CELLS = 128
"""Cells of a step."""
SCANVI_EPOCHS, SCANVI_STEPS = 20, 2000
"""Of scANVI after scVI; its default of ten epochs at most is meant for many cells. It takes so many steps at least."""
LABEL, UNKNOWN = "label", "Unknown"
N_SAMPLES = 25
"""Of the posterior, averaged in a prediction."""


def modality_of_kind(mdata: MuData, kind: str) -> str | None:
    """Name of the one modality of this kind with raw counts; None if there is none or several."""
    kinds = prepared_kinds(mdata, list(mdata.mod))
    names = [name for name in kinds if kinds[name] == kind and COUNTS_LAYER in mdata.mod[name].layers]
    return names[0] if len(names) == 1 else None


def totalvi_embed(mdata: MuData, batch: str | None, seed: int, *queries: MuData) -> list[NDArray[np.floating]]:
    """Latent means of totalVI, which knows the batch: of the cells that it is trained on, and of each query."""
    import scvi

    adata = _cite(mdata, batch)
    scvi.model.TOTALVI.setup_anndata(
        adata, protein_expression_obsm_key=PROTEINS, batch_key=None if batch is None else BATCH
    )
    model = _train(scvi.model.TOTALVI, adata, seed, MAX_EPOCHS)
    return [model.get_latent_representation(cells) for cells in (adata, *(_cite(query, batch) for query in queries))]


def totalvi_predict(train: MuData, test: MuData, source: str, target: str, seed: int) -> NDArray[np.floating]:
    """Proteins of the test cells, normalized as the target is.

    Test cells form a batch without proteins, which is how totalVI knows them as missing; so their RNA is in training.
    """
    import scvi

    known, missing = _cite(train), test.mod[source]
    hidden = AnnData(missing.layers[COUNTS_LAYER], obs=pd.DataFrame(index=missing.obs_names), var=known.var[[]])
    hidden.obsm[PROTEINS] = pd.DataFrame(0.0, index=hidden.obs_names, columns=known.obsm[PROTEINS].columns)
    both = _stack(known, hidden)
    scvi.model.TOTALVI.setup_anndata(both, protein_expression_obsm_key=PROTEINS, batch_key=PART)
    model = _train(scvi.model.TOTALVI, both, seed, MAX_EPOCHS)
    _, expected = model.get_normalized_expression(
        transform_batch=TRAINED, n_samples=N_SAMPLES, return_mean=True, include_protein_background=True
    )
    counts = expected[known.obsm[PROTEINS].columns].to_numpy()
    return from_counts(counts[: train.n_obs], counts[train.n_obs :], "protein", dense(train.mod[target].X))


def multivi_embed(mdata: MuData, batch: str | None, seed: int, *queries: MuData) -> list[NDArray[np.floating]]:
    """Latent means of MultiVI, which knows the batch: of the cells that it is trained on, and of each query."""
    import scvi

    rna, peaks = modality_of_kind(mdata, "rna"), modality_of_kind(mdata, "peaks")

    def counts_of(part: MuData) -> MuData:
        cells = MuData({name: _counts(part.mod[name][part.obs_names]) for name in (rna, peaks)})
        if batch is not None:
            cells.mod[rna].obs[BATCH] = part.obs.loc[cells.mod[rna].obs_names, batch].astype(str).to_numpy()
        scvi.model.MULTIVI.setup_mudata(
            cells,
            batch_key=None if batch is None else BATCH,
            modalities={"rna_layer": rna, "atac_layer": peaks, "batch_key": rna},
        )
        return cells

    with quiet_mudata():
        cells = counts_of(mdata)
        sizes = {"n_genes": cells.mod[rna].n_vars, "n_regions": cells.mod[peaks].n_vars}
        model = _train(scvi.model.MULTIVI, cells, seed, multivi_epochs(cells.n_obs), **sizes)
        return [model.get_latent_representation(each) for each in (cells, *map(counts_of, queries))]


def multivi_epochs(n_cells: int) -> int:
    """Largest number of epochs."""
    return max(MULTIVI_EPOCHS, -(-MULTIVI_STEPS // -(-n_cells // STEP_CELLS)))


def scvi_annotate(fold: Fold, seed: int) -> pd.DataFrame:
    """Probabilities of the training labels in test cells: logistic regression on scVI's latent means of both.

    scVI reads the RNA of training cells alone, and no label; the regression reads those that have one.
    """
    import scvi

    known, query = _labeled(fold)
    scvi.model.SCVI.setup_anndata(known)
    model = _train(scvi.model.SCVI, known, seed, MAX_EPOCHS)
    points, new = (model.get_latent_representation(cells) for cells in (known, query))
    labeled = (known.obs[LABEL] != UNKNOWN).to_numpy()
    classifier = LogisticRegression(max_iter=MAX_ITERATIONS).fit(points[labeled], known.obs[LABEL][labeled])
    return pd.DataFrame(classifier.predict_proba(new), index=query.obs_names, columns=classifier.classes_)


def scanvi_annotate(fold: Fold, seed: int) -> pd.DataFrame:
    """Probabilities of the training labels in test cells by scANVI, which starts at scVI of the training cells."""
    import scvi

    known, query = _labeled(fold)
    scvi.model.SCVI.setup_anndata(known)
    start = _train(scvi.model.SCVI, known, seed, MAX_EPOCHS)
    model = scvi.model.SCANVI.from_scvi_model(start, UNKNOWN, labels_key=LABEL)
    model.train(max_epochs=scanvi_epochs(known.n_obs), accelerator="cpu", enable_progress_bar=False)
    probability = model.predict(query, soft=True)
    return probability[sorted(set(known.obs[LABEL]) - {UNKNOWN})]


def scanvi_epochs(n_cells: int) -> int:
    """Number of epochs after those of scVI."""
    return max(SCANVI_EPOCHS, -(-SCANVI_STEPS // -(-n_cells // STEP_CELLS)))


def _labeled(fold: Fold) -> tuple[AnnData, AnnData]:
    """Raw counts of RNA of training cells and of test cells with their labels, "Unknown" where there is none."""
    adata = fold.cells.mod[modality_of_kind(fold.cells, "rna")]
    known, query = (_counts(adata[fold.cells.obs_names[cells]].copy()) for cells in (fold.train, fold.test))
    known.obs[LABEL], query.obs[LABEL] = fold.labels.iloc[fold.train].fillna(UNKNOWN).to_numpy(dtype=str), UNKNOWN
    return known, query


def _train(model_class: Any, data: AnnData | MuData, seed: int, max_epochs: int, **settings: int) -> Any:
    import scvi

    scvi.settings.seed = seed  # before the initial weights
    model = model_class(data, **settings)
    model.train(max_epochs=max_epochs, early_stopping=True, accelerator="cpu", enable_progress_bar=False)
    return model


def _counts(adata: AnnData) -> AnnData:
    return AnnData(adata.layers[COUNTS_LAYER], obs=pd.DataFrame(index=adata.obs_names), var=adata.var[[]])


def _cite(mdata: MuData, batch: str | None = None) -> AnnData:
    """Raw counts as totalVI takes them: genes, and proteins in ``obsm``."""
    rna, protein = modality_of_kind(mdata, "rna"), modality_of_kind(mdata, "protein")
    adata, proteins = (mdata.mod[name][mdata.obs_names] for name in (rna, protein))
    adata = _counts(adata)
    adata.obsm[PROTEINS] = pd.DataFrame(
        dense(proteins.layers[COUNTS_LAYER]), index=adata.obs_names, columns=proteins.var_names.astype(str)
    )
    if batch is not None:
        adata.obs[BATCH] = mdata.obs.loc[adata.obs_names, batch].astype(str).to_numpy()
    return adata


def _stack(known: AnnData, hidden: AnnData) -> AnnData:
    import anndata

    return anndata.concat({TRAINED: known, HELD_OUT: hidden}, label=PART)


def _totalvi_unsuited(run: Run, facts: Facts) -> str:
    if reason := needs_counts(facts, "rna", "protein"):
        return reason
    if run.task == PREDICT:  # from cells that have both
        return "" if facts.kinds[run.target] == "protein" else "predicts protein from rna only"
    return needs_complete_cells(facts)


def _scvi_unsuited(run: Run, facts: Facts) -> str:
    kinds = [facts.kinds[run.source]] if run.source else list(facts.kinds.values())
    if kinds.count("rna") != 1:
        return "needs raw counts of one modality of rna"
    return "" if run.source else needs_complete_cells(facts)


def _mapped(points: list[NDArray[np.floating]]) -> QueryMapping:
    reference, query = points
    return QueryMapping(reference=reference, query=query)


METHODS = (
    Method(
        name="totalvi",
        embed=lambda mdata, run: Embedding(points=totalvi_embed(mdata, run.batch, run.seed)[0]),
        map_query=lambda reference, query, run: _mapped(totalvi_embed(reference, run.batch, run.seed, query)),
        predict=lambda train, test, run: Prediction(
            values=totalvi_predict(train, test, run.source, run.target, run.seed)
        ),
        unsuited=_totalvi_unsuited,
        libraries=("scvi",),
        slow=True,
    ),
    Method(
        name="multivi",
        embed=lambda mdata, run: Embedding(points=multivi_embed(mdata, run.batch, run.seed)[0]),
        map_query=lambda reference, query, run: _mapped(multivi_embed(reference, run.batch, run.seed, query)),
        unsuited=lambda run, facts: needs_counts(facts, "rna", "peaks") or needs_complete_cells(facts),
        libraries=("scvi",),
        slow=True,
    ),
    Method(
        name="scvi_logreg",
        annotate=lambda fold, run: scvi_annotate(fold, run.seed),
        unsuited=_scvi_unsuited,
        libraries=("scvi",),
        slow=True,
    ),
    Method(
        name="scanvi",
        annotate=lambda fold, run: scanvi_annotate(fold, run.seed),
        unsuited=_scvi_unsuited,
        libraries=("scvi",),
        slow=True,
    ),
)
