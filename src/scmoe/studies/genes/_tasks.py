"""The tasks of the pretraining studies: from a task and its data to named numbers."""

import time
from collections.abc import Mapping
from functools import partial
from typing import Any, get_args

import numpy as np
import pandas as pd
from anndata import AnnData
from sklearn.metrics import adjusted_rand_score, homogeneity_completeness_v_measure, silhouette_score

from scmoe.benchmark._scores import kmeans_partitions, leiden_clusters, shared_neighbors
from scmoe.model.genes._pretraining import PRETRAIN_BATCH
from scmoe.model.genes._xtrimogene import XTRIMOGENE
from scmoe.nn.genes._classifier import Trainable
from scmoe.studies.genes._data import LABEL, Source, Split, cell_folds, labels_of, sweep_split
from scmoe.studies.genes._masked import Masked, Predictor, fit_references, mask, predict, scores
from scmoe.studies.genes._plan import (
    BASELINES,
    FOLDS,
    HELD_OUT,
    OF_STUDY,
    SCREEN,
    SPARSITY,
    TOKENIZERS,
    VARIANTS,
    Task,
)
from scmoe.studies.genes._probe import (
    Embedding,
    Labeler,
    fine_tuned,
    label_scores,
    pca_embedding_of,
    pretrained,
    probed,
    regressed,
    sensitivity,
    untrained,
)
from scmoe.studies.genes._sparsity import sparsity_curve
from scmoe.studies.perturbation._baselines import CONDITION, CONTROL
from scmoe.studies.perturbation._gears import gene_context_features
from scmoe.studies.perturbation._run import pca_loadings, simulate_screen
from scmoe.studies.perturbation._table import perturbation_table

N_FOLDS = 5
MAX_CLUSTERED = 2000
"""Cells that are clustered at most."""
FAIR, DEFAULT = "mean", "joint"
"""Poolings: the same for all tokenizers, and that of the model."""
PCA, REGRESSION, PRETRAINED, START = (
    "PCA (50) + probe",
    "logistic regression on genes",
    "frozen embedding + probe",
    "embedding before pretraining + probe",
)
WHOLE = "all"
TUNED = {name: f"fine-tuned, {name}" for name in get_args(Trainable)}
Result = dict[str, Any]
OWN_DEPTH = "f1"
"""Where targets are relative to the cell's own depth."""


def perform(task: Task, sources: Mapping[str, Source]) -> Result:
    """The result of a task."""
    if task.kind == SCREEN:
        return screen_task(task)
    adata = sources[task.source].adata
    if task.kind in (HELD_OUT, FOLDS):
        if adata.n_obs > task.size.n_cells:
            cells = np.random.default_rng(task.seed).choice(adata.n_obs, task.size.n_cells, replace=False)
            adata = adata[np.sort(cells)].copy()
        return held_out_task(task, adata) if task.kind == HELD_OUT else folds_task(task, adata)
    size = task.size
    split = sweep_split(adata, size.n_train, size.n_test, size.n_genes, task.seed)
    return baselines_task(task, split) if task.kind == BASELINES else sweep_task(task, split)


def embedding_of(model: XTRIMOGENE, pooling: str = DEFAULT) -> Embedding:
    """The frozen embedding as a function of cells."""
    return lambda adata: model.get_latent_representation(adata, pooling=pooling)  # type: ignore[arg-type]


def held_out_task(task: Task, adata: AnnData) -> Result:
    """Pretrain without the test cells of a fold; masked genes and labels of these."""
    fold = cell_folds(adata, N_FOLDS, task.seed)
    train, test = adata[fold != 0].copy(), adata[fold == 0].copy()
    start = time.perf_counter()
    model = pretrained(train, task.size.n_long_steps, task.seed)
    seconds = time.perf_counter() - start
    masked = mask(test, task.seed)
    masked_scores = {"model": scores(masked, predict(model, masked))}
    references = fit_references(train, task.seed)
    masked_scores |= {name: scores(masked, predictor(masked)) for name, predictor in references.items()}
    labelers = {
        PRETRAINED: probed(embedding_of(model), train),
        TUNED[WHOLE]: fine_tuned(model, train, WHOLE, task.size, task.seed),
        START: probed(embedding_of(untrained(train, task.seed)), train),
        PCA: probed(pca_embedding_of(train, task.seed), train),
        REGRESSION: regressed(train),
    }
    labels = {name: label_scores(labeler(test), test) for name, labeler in labelers.items()}
    history = model.history_[["train_loss", "train_nonzero", "train_zero"]].to_dict("list")
    counts = {"n_train": train.n_obs, "n_test": test.n_obs, "n_steps": n_steps(model, train), "n_genes": train.n_vars}
    return {"masked": masked_scores, "labels": labels, "history": history, "seconds": seconds} | counts


def n_steps(model: XTRIMOGENE, train: AnnData) -> int:
    """Steps of a finished pretraining."""
    return len(model.history_) * -(-train.n_obs // PRETRAIN_BATCH)


def folds_task(task: Task, adata: AnnData) -> Result:
    """Pretrain on all cells without labels; labels in five folds, those of the test cells unseen."""
    known, _ = labels_of(adata)
    labeled, fold = adata[known].copy(), cell_folds(adata, N_FOLDS, task.seed)[known]
    model, start = pretrained(adata, task.size.n_long_steps, task.seed), untrained(adata, task.seed)
    embeddings = {
        PRETRAINED: embedding_of(model)(labeled),
        START: embedding_of(start)(labeled),
        PCA: pca_embedding_of(adata, task.seed)(labeled),
    }
    tuned_folds = list(range(N_FOLDS)) if adata.n_obs <= task.size.tuned_cells else [0]
    predictions: dict[str, np.ndarray] = {}
    for i in range(N_FOLDS):
        train, test = labeled[fold != i].copy(), labeled[fold == i].copy()
        labelers: dict[str, Labeler] = {
            name: probed(partial(_rows_of, x, labeled.obs_names), train) for name, x in embeddings.items()
        }
        labelers[REGRESSION] = regressed(train)
        for part in get_args(Trainable) if i in tuned_folds else (WHOLE,):
            labelers[TUNED[part]] = fine_tuned(model, train, part, task.size, task.seed)
        for name, labeler in labelers.items():
            predictions.setdefault(name, np.full(len(labeled), None, object))[fold == i] = labeler(test)
    return _folds_scores(labeled, predictions, np.isin(fold, tuned_folds)) | {
        "clusters": {name: cluster_scores(x, labeled, task.seed) for name, x in embeddings.items()},
        "n_train": adata.n_obs,
        "n_labeled": len(labeled),
        "n_steps": n_steps(model, adata),
        "n_tuned_folds": len(tuned_folds),
    }


def _rows_of(embedding: np.ndarray, names: pd.Index, cells: AnnData) -> np.ndarray:
    return embedding[names.get_indexer(cells.obs_names)]


def _folds_scores(labeled: AnnData, predictions: Mapping[str, np.ndarray], tuned: np.ndarray) -> Result:
    """Scores over all folds of what was done in all, and of everything over the folds that were fine-tuned."""
    whole = {name: x for name, x in predictions.items() if all(label is not None for label in x)}
    return {
        "all": {name: label_scores(x, labeled) for name, x in whole.items()},
        "tuned": {name: label_scores(x[tuned], labeled[tuned]) for name, x in predictions.items()},
    }


def cluster_scores(embedding: np.ndarray, labeled: AnnData, seed: int) -> dict[str, float]:
    """ARI with the labels of k-means and of Leiden, with as many clusters as labels; and what xTrimoGene reports.

    That is, of k-means, homogeneity, completeness, normalized mutual information and the silhouette of its clusters.
    Scores of k-means are means over its seeds.
    """
    cells = np.arange(labeled.n_obs)
    if labeled.n_obs > MAX_CLUSTERED:
        cells = np.random.default_rng(seed).choice(labeled.n_obs, MAX_CLUSTERED, replace=False)
    points, label = np.asarray(embedding, np.float64)[cells], pd.Series(labeled.obs[LABEL].to_numpy()[cells])
    truth = label.astype(str).to_numpy()
    leiden = leiden_clusters(shared_neighbors(points), label.nunique(), seed)
    kmeans = pd.DataFrame(
        [partition_scores(points, truth, own) for own in kmeans_partitions(points, label.nunique())]
    ).mean()
    return {**kmeans.to_dict(), "leiden_ari": float(adjusted_rand_score(truth, leiden))}


def partition_scores(points: np.ndarray, truth: np.ndarray, clusters: np.ndarray) -> dict[str, float]:
    """Scores of one partition; ``nmi`` is normalized by the geometric mean of the entropies."""
    homogeneity, completeness, _ = homogeneity_completeness_v_measure(truth, clusters)
    return {
        "kmeans_ari": float(adjusted_rand_score(truth, clusters)),
        "homogeneity": float(homogeneity),
        "completeness": float(completeness),
        "silhouette": float(silhouette_score(points, clusters)),
        "nmi": float(np.sqrt(homogeneity * completeness)),
    }


def sweep_task(task: Task, split: Split) -> Result:
    """Pretrain with one setting; masked genes, labels and clusters of the test cells."""
    train, test = split
    start = time.perf_counter()
    model = pretrained(train, task.size.n_steps, task.seed, VARIANTS[task.variant])
    seconds = time.perf_counter() - start
    masked = mask(test, task.seed)
    labeled = test[labels_of(test)[0]].copy()
    embed = embedding_of(model)
    result: Result = {
        "masked": {"model": scores(masked, predict(model, masked, OWN_DEPTH))},
        "labels": {PRETRAINED: label_scores(probed(embed, train)(test), test)},
        "clusters": {PRETRAINED: cluster_scores(embed(labeled), labeled, task.seed)},
        "seconds": seconds,
        "n_parameters": sum(p.numel() for p in model.module.parameters()),
    }
    if task.variant in OF_STUDY[SPARSITY]:
        result["sparsity"] = {"model": sparsity_curve(partial(predict, model), test, task.size.zeros, task.seed)}
    if task.variant in OF_STUDY[TOKENIZERS]:
        labelers = {f"probe, {pooling}": probed(embedding_of(model, pooling), train) for pooling in (FAIR, DEFAULT)} | {
            TUNED[WHOLE]: fine_tuned(model, train, WHOLE, task.size, task.seed)
        }
        result["sensitivity"] = {name: sensitivity(labeler, test, task.seed) for name, labeler in labelers.items()}
    return result


def _at_any_depth(predictor: Predictor, masked: Masked, depth: str) -> np.ndarray:
    return predictor(masked)


def baselines_task(task: Task, split: Split) -> Result:
    """The same scores of what needs no network."""
    train, test = split
    masked, references = mask(test, task.seed), fit_references(train, task.seed)
    labeled, embed = test[labels_of(test)[0]].copy(), pca_embedding_of(train, task.seed)
    labelers = {PCA: probed(embed, train), REGRESSION: regressed(train)}
    start = untrained(train, task.seed)
    curves = {
        name: sparsity_curve(partial(_at_any_depth, predictor), test, task.size.zeros, task.seed)
        for name, predictor in references.items()
    }
    return {
        "masked": {name: scores(masked, predictor(masked)) for name, predictor in references.items()},
        "labels": {name: label_scores(labeler(test), test) for name, labeler in labelers.items()}
        | {START: label_scores(probed(embedding_of(start), train)(test), test)},
        "clusters": {
            PCA: cluster_scores(embed(labeled), labeled, task.seed),
            START: cluster_scores(embedding_of(start)(labeled), labeled, task.seed),
        },
        "sparsity": curves,
        "sensitivity": {name: sensitivity(labeler, test, task.seed) for name, labeler in labelers.items()},
        "n_train": train.n_obs,
        "n_test": test.n_obs,
        "n_genes": train.n_vars,
        "zeros": 1 - test.X.nnz / np.prod(test.shape, dtype=float),
        "share_encoded": float(masked.visible.counts.nnz / np.prod(test.shape, dtype=float)),
    }


def screen_task(task: Task) -> Result:
    """Features of genes from control cells, and what they say of the response to unseen knock-outs."""
    screen = simulate_screen(task.seed, n_cells=task.size.n_screen)
    control = screen[screen.obs[CONDITION] == CONTROL].copy()
    model, start = pretrained(control, task.size.n_steps, task.seed), untrained(control, task.seed)
    features: dict[str, np.ndarray] = {"PCA loadings": pca_loadings(control)}
    for network, suffix in ((model, ""), (start, " before pretraining")):
        features[f"identities{suffix}"] = network.get_gene_embeddings().loc[control.var_names].to_numpy()
        features[f"gene context{suffix}"] = gene_context_features(network.get_gene_context(control))
    table = perturbation_table(features, screen, seed=task.seed)
    mean = table.groupby(["setting", "method"], sort=False)[["mse", "pearson", "mse_top", "pearson_top"]].mean()
    rows = [{"setting": key[0], "method": key[1], **row} for key, row in mean.to_dict("index").items()]
    return {"rows": rows, "n_perturbations": int(table["condition"].nunique()), "n_control": control.n_obs}
