"""Labels of held-out cells from embeddings, from log-normalized genes, and by fine-tuning."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from anndata import AnnData
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from scmoe.benchmark._scores_held_out import class_scores
from scmoe.model.genes._encoding import read_cells, rows_of
from scmoe.model.genes._inference import fit_axes_of
from scmoe.model.genes._pretraining import PRETRAIN_BATCH, start_network
from scmoe.model.genes._xtrimogene import XTRIMOGENE
from scmoe.studies.genes._data import LABEL, labels_of, log_values, thinned
from scmoe.studies.genes._plan import Size, Variant
from scmoe.train._pretrain import PretrainConfig

ITERATIONS = 1000
N_COMPONENTS = 50
DEPTHS = (0.5, 0.25)
"""Shares of the molecules that test cells are thinned to."""
KEPT_GENES = 0.5
"""Share of the genes that test cells keep."""
CPU: Mapping[str, Any] = {"accelerator": "cpu", "enable_progress_bar": False}
Embedding = Callable[[AnnData], NDArray[np.floating]]
Labeler = Callable[[AnnData], NDArray[Any]]


def pretrained(adata: AnnData, n_steps: int, seed: int, variant: Variant | None = None) -> XTRIMOGENE:
    """The preset "tiny", pretrained on all cells given, without their labels."""
    variant = variant or Variant()
    XTRIMOGENE.setup_anndata(adata)
    model = XTRIMOGENE(adata, seed=seed, **variant.network)
    epochs = max(round(n_steps * PRETRAIN_BATCH / adata.n_obs), 1)
    model.train(epochs, train_size=1.0, plan_kwargs=variant.training, **CPU)
    return model


def untrained(adata: AnnData, seed: int) -> XTRIMOGENE:
    """The model as its training starts: principal components as identities, random layers."""
    XTRIMOGENE.setup_anndata(adata)
    model = XTRIMOGENE(adata, seed=seed)
    cells = read_cells(model, None)
    start_network(model, cells, np.arange(adata.n_obs), PretrainConfig())
    model.axes = fit_axes_of(model, rows_of(cells, np.arange(adata.n_obs)))
    model.is_trained_ = True
    return model


def probe() -> Pipeline:
    """The same linear classifier for every embedding."""
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=ITERATIONS))


def probed(embed: Embedding, train: AnnData) -> Labeler:
    """Labels by the probe, fitted to the training cells that have one."""
    known, label = labels_of(train)
    fitted = probe().fit(embed(train)[known], label)
    return lambda adata: fitted.predict(embed(adata))


def pca_embedding_of(train: AnnData, seed: int) -> Embedding:
    """50 principal components of the log-normalized training cells."""
    values = log_values(train)
    n = min(N_COMPONENTS, *(n - 1 for n in values.shape))
    pca = PCA(n, svd_solver="arpack", random_state=seed).fit(values)
    return lambda adata: pca.transform(aligned_values(adata, train))


def regressed(train: AnnData) -> Labeler:
    """Labels by logistic regression on the log-normalized genes."""
    known, label = labels_of(train)
    fitted = LogisticRegression(max_iter=ITERATIONS).fit(log_values(train)[known], label)
    return lambda adata: fitted.predict(aligned_values(adata, train))


def aligned_values(adata: AnnData, train: AnnData) -> Any:
    """Log-normalized values of the training cells' genes; a gene that was not measured has its mean in training."""
    values = log_values(adata)
    if adata.n_vars == train.n_vars:
        return values
    mean = np.asarray(log_values(train).mean(0)).ravel()
    out = np.tile(mean, (adata.n_obs, 1))
    out[:, train.var_names.get_indexer(adata.var_names)] = values.toarray()
    return out


def fine_tuned(model: XTRIMOGENE, train: AnnData, trainable: str, size: Size, seed: int) -> Labeler:
    """Labels by the model after fine-tuning; each cell counts the same, as for the probe."""
    tuned = model.fine_tune(
        LABEL,
        train,
        trainable=trainable,  # type: ignore[arg-type]
        class_balance="none",
        max_epochs=size.tuning_epochs,
        seed=seed,
        **CPU,
    )
    return lambda adata: np.asarray(tuned.predict(adata))


def label_scores(labels: NDArray[Any], test: AnnData) -> dict[str, Any]:
    """Accuracy, macro-F1 and F1 of each label over the test cells that have one."""
    known, truth = labels_of(test)
    labels = labels[known].astype(str)
    names = np.unique(truth)
    f1 = f1_score(truth, labels, labels=names, average=None, zero_division=0)
    scores = {name: value for name, value in class_scores(truth, labels).items() if name != "macro_f1_5"}
    return scores | {"f1": dict(zip(names.tolist(), f1.tolist(), strict=True))}


def sensitivity(labeler: Labeler, test: AnnData, seed: int) -> dict[str, Any]:
    """Scores of the test cells as they are, with fewer molecules, and with half of the genes not measured."""
    cases = {"whole": test}
    for share in DEPTHS:
        cases[f"{100 * share:.0f} % of the molecules"] = thinned(test, share, seed)
    genes = np.random.default_rng(seed).permutation(test.n_vars)[: math.ceil(KEPT_GENES * test.n_vars)]
    cases[f"{100 * KEPT_GENES:.0f} % of the genes"] = test[:, np.sort(genes)].copy()
    return {name: label_scores(labeler(cells), cells) for name, cells in cases.items()}
