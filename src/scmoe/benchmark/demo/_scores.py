"""The model's results beside those of the baselines, on the same cells."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from mudata import MuData
from numpy.typing import NDArray

from scmoe._matrix import dense
from scmoe.benchmark._baselines import pca_embedding, ridge_on_pca
from scmoe.benchmark._scores import N_KMEANS, kmeans_scores
from scmoe.benchmark._scores_held_out import prediction_scores


def compare_clusters(mdata: MuData, embedding: str, labels: str) -> dict[str, dict[str, float]]:
    """`kmeans_scores` of ``mdata.obsm[embedding]`` and of PCA, which is given all cells to be fitted on."""
    truth = pd.Series(mdata.obs[labels])
    return {
        "scmoe": kmeans_scores(mdata.obsm[embedding], truth),
        "pca": kmeans_scores(pca_embedding(mdata, np.arange(mdata.n_obs)), truth),
    }


def compare_imputation(
    mdata: MuData, predicted: pd.DataFrame, held_out: NDArray[np.bool_], *, source: str, target: str
) -> dict[str, Any]:
    """Mean scores over the features of the target on held-out cells: the model, ridge on PCA, and the mean.

    Parameters
    ----------
    mdata
        Prepared data whose modalities hold the same cells in the same order.
    predicted
        The model's prediction for all cells, in the units of the target's ``X``.
    held_out
        Cells that nothing was fitted on, ``(n_cells,)``.
    source
        Modality to predict from.
    target
        Modality to predict.

    Returns
    -------
    Numbers of cells, of features and of those dropped because they do not vary in training or in held-out cells, and
    ``pearson`` and ``r2`` of each method.
    """
    x, y = dense(mdata.mod[source].X), dense(mdata.mod[target].X)
    predictions: Mapping[str, NDArray[np.floating]] = {
        "scmoe": predicted.to_numpy()[held_out],
        "ridge_on_pca": ridge_on_pca(x[~held_out], y[~held_out], x[held_out]),
        "mean": np.broadcast_to(y[~held_out].mean(axis=0), (int(held_out.sum()), y.shape[1])),
    }
    scores = {name: prediction_scores(y[~held_out], y[held_out], values) for name, values in predictions.items()}
    return {
        "source": source,
        "target": target,
        "n_train": int((~held_out).sum()),
        "n_held_out": int(held_out.sum()),
        "n_features": int(scores["scmoe"]["n_features"]),
        "n_dropped": int(scores["scmoe"]["n_dropped"]),
        **{name: {score: row[score] for score in ("pearson", "r2")} for name, row in scores.items()},
    }


def to_markdown(result: Mapping[str, Any]) -> str:
    """The comparison as a table with a note on how it was made."""
    clusters, imputation = result["kmeans"], result["imputation"]
    direction = f"{imputation['source']} → {imputation['target']}"
    rows = [
        ("k-means ARI", clusters["scmoe"]["ari"], clusters["pca"]["ari"], "PCA"),
        ("k-means NMI", clusters["scmoe"]["nmi"], clusters["pca"]["nmi"], "PCA"),
        (f"{direction} Pearson", imputation["scmoe"]["pearson"], imputation["ridge_on_pca"]["pearson"], "ridge on PCA"),
        (f"{direction} R²", imputation["scmoe"]["r2"], imputation["ridge_on_pca"]["r2"], "ridge on PCA"),
        (f"{direction} R²", imputation["scmoe"]["r2"], imputation["mean"]["r2"], "mean of training cells"),
    ]
    table = "\n".join(
        f"| {name:<19} | {ours:>6.3f} | {theirs:>8.3f} | {ours - theirs:>+10.3f} | {method:<22} |"
        for name, ours, theirs, method in rows
    )
    return f"""\
| score               |  scmoe | baseline | difference | baseline is            |
|---------------------|-------:|---------:|-----------:|------------------------|
{table}

Seed {result["seed"]}, {result["n_cells"]} cells. Clusters: k-means with k = {result["n_labels"]} \
(the number of labels), mean of {N_KMEANS} seeds, all cells; PCA is fitted on all cells, the model on its \
{imputation["n_train"]} training cells. Imputation: {imputation["n_held_out"]} cells that neither side was fitted on, \
{imputation["target"]} absent from the input, mean over {imputation["n_features"]} features \
({imputation["n_dropped"]} without variance dropped). \
{result["seconds"]["total"]:.0f} s in total, {result["seconds"]["train"]:.0f} s of them training; \
peak memory {result["peak_memory_gib"]:.2f} GiB.
"""
