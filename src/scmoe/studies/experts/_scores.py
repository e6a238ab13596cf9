"""One run of the study of experts: train on four fifths of the cells, and score the network on the last."""

import time
from collections.abc import Mapping
from itertools import permutations
from typing import Any

import numpy as np
from mudata import MuData
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors

from scmoe.benchmark._baselines import dense
from scmoe.benchmark._cells import subset
from scmoe.benchmark._new_cells import TRAIN_SIZE
from scmoe.benchmark._scores_held_out import class_scores
from scmoe.explain._permutation import stack_shares
from scmoe.explain.experts._information import entropy, mutual_information
from scmoe.metrics._features import feature_scores
from scmoe.model._fitted import query
from scmoe.model._scmoe import SCMOE
from scmoe.model.experts._upcycle import upcycled
from scmoe.model.explain._routing import router_use, with_untrained_routers
from scmoe.studies.experts._arms import Arm
from scmoe.studies.replicate._data import LABEL
from scmoe.train._fit import default_batch_size, default_epochs

N_NEIGHBORS, N_COMPONENTS = 10, 20
"""Of the score of structure within types, in components of the modality that was not seen."""
MIN_TYPE = 30
"""Cells of a type whose inner structure is scored."""
N_LABEL_NEIGHBORS = 15
N_UNTRAINED = 5
"""Untrained routers that the trained one is compared with."""
N_PROBED = 200
"""Cells, the same in all runs on the same data, whose most used experts are kept."""
Array = NDArray[np.floating]


def run_scores(mdata: MuData, arm: Arm, seed: int, more_epochs: float = 1.0) -> dict[str, Any]:
    """Scores of one network.

    Parameters
    ----------
    mdata
        Cells with all modalities and their types in ``obs["group"]``.
    arm
        The network.
    seed
        Of split and training.
    more_epochs
        The usual number of epochs times this.
    """
    order = mdata.obs_names[np.random.default_rng(seed).permutation(mdata.n_obs)]
    n_train = round(TRAIN_SIZE * mdata.n_obs)
    train, test = (subset(mdata, cells, list(mdata.mod)) for cells in (order[:n_train], order[n_train:]))
    start = time.process_time()
    model, n_epochs = trained(train, arm, seed, more_epochs)
    seconds = time.process_time() - start
    n_experts = model.module.config.n_experts
    return {
        **prediction(model, test),
        **labels_of_new_cells(model, train, test),
        "within_types": structure_within_types(model, subset(mdata, order, list(mdata.mod)), len(test)),
        **(router_statistics(model, test, mdata) if n_experts > 1 else {}),
        "seconds": seconds,
        "n_epochs": n_epochs,
        "n_parameters": sum(p.numel() for block in model.module.blocks for p in block.moe.parameters()),
        "n_cells": mdata.n_obs,
    }


def trained(train: MuData, arm: Arm, seed: int, more_epochs: float) -> tuple[SCMOE, int]:
    """A network trained for as many epochs as any other on these cells, and how many these are."""
    n_learned = round(0.9 * train.n_obs)
    n_epochs = max(round(more_epochs * default_epochs(n_learned, default_batch_size(n_learned))), 1)
    settings: dict[str, Any] = {"accelerator": "cpu", "enable_progress_bar": False, "plan_kwargs": dict(arm.training)}
    SCMOE.setup_mudata(train, labels_key=LABEL if has_types(train) else None)
    if not arm.upcycle:
        model = SCMOE(train, seed=seed, **arm.network)
        model.train(n_epochs, **settings)
        return model, n_epochs
    first = SCMOE(train, seed=seed, **arm.network, n_experts=1, top_k=1)
    first.train(n_epochs // 2, **settings)
    model = upcycled(first, 8, 2)
    model.train(n_epochs - n_epochs // 2, **settings)
    return model, n_epochs


def has_types(mdata: MuData) -> bool:
    """Whether there is something to label."""
    return mdata.obs[LABEL].nunique() > 1


def prediction(model: SCMOE, test: MuData) -> dict[str, float]:
    """Mean Pearson and R² of features of each modality as predicted from each other one, over all directions."""
    rows = []
    for source, target in permutations(model.modalities, 2):
        truth = dense(test.mod[target].X)
        tables = [
            feature_scores(truth, model.impute(source, target, test, part=part)) for part in ("mixture", "network")
        ]
        rows.append([tables[0]["pearson"].mean(), tables[0]["r2"].mean(), tables[1]["pearson"].mean()])
    return dict(zip(("pearson", "r2", "pearson_network"), np.mean(rows, axis=0).tolist(), strict=True))


def labels_of_new_cells(model: SCMOE, train: MuData, test: MuData) -> dict[str, float]:
    """Macro-F1 of the types of new cells: as the annotator says, and by neighbors in the network's state alone.

    NaN where all cells are of one type, as with one regime.
    """
    if not has_types(train):
        return {"macro_f1": float("nan"), "macro_f1_states": float("nan")}
    truth = test.obs[LABEL].to_numpy(dtype=str)
    states = (model.get_latent_representation(cells, part="network") for cells in (train, test))
    known, new = states
    neighbors = KNeighborsClassifier(N_LABEL_NEIGHBORS).fit(known, train.obs[LABEL].to_numpy(dtype=str))
    return {
        "macro_f1": class_scores(truth, np.asarray(model.predict(test), dtype=str))["macro_f1"],
        "macro_f1_states": class_scores(truth, neighbors.predict(new))["macro_f1"],
    }


def structure_within_types(model: SCMOE, cells: MuData, n_new: int) -> float:
    """Whether the states of one modality know which cells of a type are alike in another, which they have not seen.

    Of the 10 nearest cells of its own type, by the states that the network makes of one modality, the share that are
    among the 10 nearest in principal components of another modality; less what chance gives; mean over the new cells
    of types with at least 30 cells, and over all directions.

    Parameters
    ----------
    model
        A trained model.
    cells
        Training cells, then new cells.
    n_new
        Number of the latter.
    """
    types = cells.obs[LABEL].to_numpy(dtype=str)
    is_new = np.arange(len(types)) >= len(types) - n_new
    names, sizes = np.unique(types, return_counts=True)
    states = {
        name: model.get_latent_representation(subset(cells, cells.obs_names, [name]), part="network")
        for name in model.modalities
    }
    truth = {name: components(dense(cells.mod[name].X)) for name in model.modalities}
    shares = []
    for source, target in permutations(model.modalities, 2):
        for name in names[sizes >= MIN_TYPE]:
            mask = types == name
            shares += shared_neighbors(states[source][mask], truth[target][mask], is_new[mask])
    return float(np.mean(shares)) if shares else float("nan")


def components(values: Array) -> Array:
    """Leading principal components of standardized features; what was not measured counts as the mean."""
    z = (values - np.nanmean(values, axis=0)) / np.maximum(np.nanstd(values, axis=0), 1e-9)
    return PCA(min(N_COMPONENTS, *z.shape), random_state=0).fit_transform(np.nan_to_num(z))


def shared_neighbors(first: Array, second: Array, of: NDArray[np.bool_]) -> list[float]:
    """Of the cells `of`, the share of the nearest cells in one space that are near in another, less chance."""
    near = [NearestNeighbors(n_neighbors=N_NEIGHBORS).fit(x).kneighbors(return_distance=False) for x in (first, second)]
    chance = N_NEIGHBORS / (len(first) - 1)
    pairs = zip(near[0][of], near[1][of], strict=True)
    return [len(np.intersect1d(a, b)) / N_NEIGHBORS - chance for a, b in pairs]


def router_statistics(model: SCMOE, test: MuData, mdata: MuData) -> dict[str, Any]:
    """What experts of the last layer say of modalities and types of new cells, beside untrained routers.

    ``router_modality`` and ``router_type``: mutual information of expert and modality, and of expert and type within a
    modality, in nats; ``..._untrained``: mean over untrained routers; ``router_entropy``: of the load, over its
    maximum; ``top_experts``: of the probed cells, the most used expert of each modality, modality by modality.
    """
    fitted, dataset, cells = query(model, test, None)
    types = test.obs[LABEL].to_numpy(dtype=str)
    use = router_use(fitted, dataset, cells, "soft")
    untrained = [
        information(router_use(with_untrained_routers(fitted, seed), dataset, cells, "soft"), types)
        for seed in range(N_UNTRAINED)
    ]
    load = np.concatenate([values[:, -1] for values in use.values()]).sum(axis=0)
    probed = mdata.obs_names[np.random.default_rng(0).permutation(mdata.n_obs)[:N_PROBED]]
    on_probed = model.get_router_activations(subset(mdata, probed, list(mdata.mod)))
    return {
        **information(use, types),
        **{f"{name}_untrained": float(np.mean([row[name] for row in untrained])) for name in untrained[0]},
        "router_entropy": float(entropy(load) / np.log(len(load))),
        "top_experts": np.concatenate([values[:, -1].argmax(axis=1) for values in on_probed.values()]).tolist(),
    }


def information(use: Mapping[str, Array], types: NDArray[Any]) -> dict[str, float]:
    """Mutual information, in nats, of the last layer's experts with modality, and with type within each modality."""
    last = stack_shares(use)[:, :, -1]
    names, codes = np.unique(types, return_inverse=True)
    of_types = np.stack([last[codes == i].sum(axis=0) for i in range(len(names))])
    return {
        "router_modality": float(mutual_information(last.sum(axis=0))),
        "router_type": float(np.mean(mutual_information(of_types.transpose(1, 0, 2)))),
    }
