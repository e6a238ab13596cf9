"""The studies of the replication besides scores: gradients during the training, and a model to draw."""

from typing import Any

import numpy as np
from mudata import MuData

from scmoe._keys import DEFAULT_KEY, Keys
from scmoe.benchmark._cells import subset
from scmoe.data._dataset import MosaicDataset
from scmoe.metrics._clusters import matched_accuracy
from scmoe.model.explain._conflict import teacher, training_batches
from scmoe.studies.explain._conflict import BATCH_SIZE, COMPUTE, EXPERTS, PARAMETERS, ConflictMeter
from scmoe.studies.replicate._data import LABEL
from scmoe.studies.replicate._forms import FORMS, build, train_form
from scmoe.studies.replicate._methods import folds
from scmoe.studies.replicate._plan import Task
from scmoe.studies.replicate._scores import kmeans_clusters
from scmoe.tl._attention import attention
from scmoe.tl._embed import embed
from scmoe.tl._expert_usage import expert_usage
from scmoe.tl._tcav import tcav
from scmoe.tl._umap import umap

PART = "part"
N_BATCHES = 6
"""In which gradients are compared, the same after each epoch."""
TRAINING, TEST = "training", "test"
MIN_TARGET = 30
"""Cells of a group that concepts are tested on."""


def conflict_rows(mdata: MuData, task: Task) -> dict[str, Any]:
    """Gradients on experts and on dense layers, in the same batches and after the same epochs.

    Returns
    -------
    ``rows`` as those of `scmoe.studies.run_conflict`.
    """
    mdata = subset(mdata, mdata.obs_names, list(task.modalities))
    form, n_clusters = FORMS[task.method], int(mdata.obs[LABEL].nunique())
    models = {EXPERTS: form, COMPUTE: form.dense(equal="compute"), PARAMETERS: form.dense(equal="parameters")}
    rows: list[dict[str, Any]] = []
    batches: list[Any] = []
    for name, form_of_layer in models.items():
        model = build(form_of_layer, mdata, n_clusters, task.seed)
        if not batches:
            dataset, cells = MosaicDataset(mdata, model.setup), np.arange(mdata.n_obs)
            graph = None if form.published else teacher(dataset, cells, model.config.n_programs, task.seed)
            batches = list(
                training_batches(dataset, cells, graph, n_batches=N_BATCHES, batch_size=BATCH_SIZE, seed=task.seed)
            )
        meter = ConflictMeter(model.modalities, batches, task.epochs, task.seed)
        train_form(model, form_of_layer, max(task.epochs), [meter])
        rows += [{"model": name, "seed": task.seed, **row} for row in meter.rows]
    return {"rows": rows}


def explained(mdata: MuData, task: Task) -> tuple[MuData, dict[str, Any]]:
    """All cells with embedding, map, experts, attention and concepts of a model of the first fold's training cells.

    The confusion of groups and clusters of the test cells comes with them, partners on the diagonal.
    """
    mdata = subset(mdata, mdata.obs_names, list(task.modalities))
    train, test = next(folds(mdata.n_obs, task))
    known = subset(mdata, mdata.obs_names[train], list(task.modalities))
    form, n_clusters = FORMS[task.method], int(mdata.obs[LABEL].nunique())
    model = build(form, known, n_clusters, task.seed, labels_key=LABEL)
    train_form(model, form, task.max_epochs)
    mdata.obs[PART] = np.where(np.isin(np.arange(mdata.n_obs), test), TEST, TRAINING)
    embed(mdata, model)
    umap(mdata, seed=task.seed)
    expert_usage(mdata, model, groupby=LABEL, seed=task.seed)
    attention(mdata, model)
    sizes = mdata.obs[LABEL].value_counts().sort_index()
    tcav(mdata, model, targets=list(sizes.index[sizes >= MIN_TARGET]), seed=task.seed)
    points = mdata.obsm[Keys(name=DEFAULT_KEY).embedding]
    clusters = (
        np.asarray(model.predict_clusters(mdata))[test]
        if form.published
        else kmeans_clusters(points[train], points[test], n_clusters)[0]
    )
    accuracy, confusion = matched_accuracy(mdata.obs[LABEL].to_numpy(dtype=str)[test], clusters)
    result = {
        "accuracy": accuracy,
        "groups": [str(name) for name in confusion.index],
        "clusters": [str(name) for name in confusion.columns],
        "confusion": confusion.to_numpy().tolist(),
    }
    return mdata, result
