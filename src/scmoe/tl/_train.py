"""`train`: setup, fit and results in one call."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from itertools import permutations
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from mudata import MuData

from scmoe._check import check_mdata
from scmoe._keys import DEFAULT_KEY, DIAGNOSTICS, HIGHLY_VARIABLE, HISTORY, PARAMS, ROLES, UNKNOWN_LABEL, Keys
from scmoe.arguments._checked import checks_arguments
from scmoe.datasets._anndata import takes_anndata
from scmoe.datasets._categories import Category
from scmoe.io._memory import check_memory
from scmoe.io._storable import warn_of_unstorable
from scmoe.io._uns import to_uns
from scmoe.losses._class_balance import DEFAULT_BALANCE, ClassBalance
from scmoe.tl._annotate import write_annotation
from scmoe.tl._cluster import cluster
from scmoe.tl._embed import write_embedding
from scmoe.tl._impute import impute
from scmoe.tl._results import check_results, inputs_of
from scmoe.tl._router import router_paths, write_router
from scmoe.tl._tables import uns_kept_on_error
from scmoe.tl._umap import umap as make_umap
from scmoe.tl._write import OBSM, drop_results, result_paths, write_obs, write_uns
from scmoe.train._presets import Objective, PresetName, Settings, check_objective

if TYPE_CHECKING:
    from scmoe.model._scmoe import SCMOE

LISTS_OF_FEATURES = ("feature_names", "total_features", "detection")
"""Entries of a setup that have as many items as there are features; a model's file keeps them."""


@checks_arguments
@takes_anndata
def train(
    mdata: MuData,
    *,
    modalities: Sequence[str] | None = None,
    layers: Mapping[str, str | None] | None = None,
    likelihoods: Mapping[str, str] | None = None,
    batch_key: str | None = None,
    categorical_covariate_keys: Sequence[str] = (),
    continuous_covariate_keys: Sequence[str] = (),
    labels_key: str | None = None,
    unlabeled_category: Category = UNKNOWN_LABEL,
    use_var: str | None = HIGHLY_VARIABLE,
    class_balance: ClassBalance = DEFAULT_BALANCE,
    max_epochs: int | None = None,
    split_key: str | None = None,
    preset: PresetName | None = None,
    objective: Objective | None = None,
    predict: bool = False,
    umap: bool = False,
    seed: int = 0,
    key_added: str = DEFAULT_KEY,
    train_kwargs: Mapping[str, Any] | None = None,
    **model_kwargs: Any,
) -> "SCMOE":
    """Train a model and write what it found.

    Parameters
    ----------
    mdata
        Prepared data (see `scmoe.pp.prepare`).
    modalities, layers, likelihoods, batch_key, categorical_covariate_keys, continuous_covariate_keys
        See `scmoe.model.SCMOE.setup_mudata`.
    labels_key, unlabeled_category, use_var
        See `scmoe.model.SCMOE.setup_mudata`.
    class_balance
        How labels with few cells are treated, see `scmoe.model.SCMOE.train`.
    max_epochs
        Passes over the training cells; None: chosen by size.
    split_key
        Column of ``obs`` with the training, validation and test cells, such as `scmoe.pp.split` writes; None: a random
        tenth of the cells is for validation. See `scmoe.model.SCMOE.train`.
    preset
        The scMoE paper's form and sizes for one of its data sets (``"dyngen"``, ``"dbitseq"``, ``"patchseq"``,
        ``"atacseq"``; appendix C), with its `objective`; what is given besides counts more. Predictions are made as
        always, with the target absent from the input. None: the defaults of this package, which are better.
    objective
        How the paper trains groups of cells: ``"ce"`` by the cross-entropy of labels (a ``label_weight`` of 1), or
        ``"ddc"`` by deep divergence-based clustering (``n_clusters``, as many as there are labels). None: neither, but
        for what is given or the preset has.
    predict
        Whether to write each modality as predicted from each other one, too, as `scmoe.tl.impute` does.
    umap
        Whether to write a map of the embedding, too, as `scmoe.tl.umap` does.
    seed
        Of everything random.
    key_added
        Name of the results.
    train_kwargs
        More arguments of `scmoe.model.SCMOE.train`.
    **model_kwargs
        Fields of `scmoe.model.NetworkConfig`, and ``pretrained`` of `scmoe.model.SCMOE`.

    Returns
    -------
    SCMOE
        The trained model. Removes earlier results under `key_added`, then writes what `scmoe.tl.embed` and
        `scmoe.tl.cluster` (exactly `n_clusters` clusters where that is given; else Leiden) and, with `labels_key`,
        `scmoe.tl.annotate` write; ``obs["{key_added}_split"]`` of `mdata` and of each modality (each cell is a
        ``"training cell"``, ``"validation cell"`` or ``"test cell"``); for each modality
        ``mdata.mod[m].obsm["{key_added}_router"]`` (its cells x experts: mean routing weight in the last block); and to
        ``mdata.uns[key_added]`` ``"history"`` (losses by epoch), ``"diagnostics"`` (whether the training went well, see
        `scmoe.model.SCMOE.diagnostics`) and ``"params"``
        (settings, seed, versions, seconds).

    Raises
    ------
    KeyError, ValueError
        Data or settings that cannot be used, or predictions that memory would not hold; `mdata` is as it was then.

    Examples
    --------
    >>> import scanpy as sc
    >>> import scmoe
    >>> mdata = scmoe.datasets.bmmc_cite()
    >>> scmoe.pp.prepare(mdata)
    >>> model = scmoe.tl.train(mdata, batch_key="batch", umap=True)
    >>> sc.pl.umap(mdata, color="scmoe_cluster")
    """
    from scmoe.model._scmoe import SCMOE
    from scmoe.model._settings import check_settings
    from scmoe.nn._config import NetworkConfig
    from scmoe.train._config import TrainConfig

    check_settings(train, model_kwargs, train_kwargs or {}, SCMOE, NetworkConfig, TrainConfig)
    check_mdata(mdata)
    check_results(mdata, key_added)
    check_n_clusters(mdata, model_kwargs.get("n_clusters"))
    check_objective(objective, labels_key, model_kwargs)
    warn_of_unstorable(mdata)
    with uns_kept_on_error(mdata):
        SCMOE.setup_mudata(
            mdata,
            modalities=modalities,
            layers=layers,
            likelihoods=likelihoods,
            batch_key=batch_key,
            categorical_covariate_keys=categorical_covariate_keys,
            continuous_covariate_keys=continuous_covariate_keys,
            labels_key=labels_key,
            unlabeled_category=unlabeled_category,
            use_var=use_var,
        )
        if preset is not None or objective is not None:
            settings = Settings(model_kwargs, dict(train_kwargs or {}), max_epochs)
            settings = settings.of_paper(SCMOE(mdata).setup, preset, objective)
            model_kwargs, train_kwargs, max_epochs = settings
            check_n_clusters(mdata, model_kwargs.get("n_clusters"))
        model = SCMOE(mdata, seed=seed, **model_kwargs)
        paths = _result_paths(mdata, model, key_added)
        directions = list(permutations(model.modalities, 2)) if predict else []
        _check_predictions(mdata, model, directions, key_added)
        inputs = inputs_of(model.setup, mdata, split_key)
        check_results(mdata, key_added, [*paths, *result_paths(mdata, key_added)], inputs)
        params = _params(model, train_kwargs, class_balance, split_key)
        model.train(max_epochs, class_balance=class_balance, split_key=split_key, **(train_kwargs or {}))
    _write(mdata, model, paths, params, key_added)
    if umap:
        make_umap(mdata, seed=seed, key_added=key_added)
    for source, target in directions:
        impute(mdata, model, source=source, target=target, key_added=key_added)
    return model


def _write(mdata: MuData, model: "SCMOE", paths: Collection[str], params: Mapping[str, Any], key_added: str) -> None:
    """Write what a trained model says of its cells, in place of earlier results, and how it was trained."""
    results, routing = model.get_results(mdata, mapping_score=False), model.get_router_activations(mdata)
    drop_results(mdata, key_added, paths)
    write_embedding(mdata, results, key_added)
    cluster(mdata, n_clusters=model.config.n_clusters, seed=model.seed, key_added=key_added)
    if results.annotation is not None:
        detection = model.get_unknown_detection()
        write_annotation(mdata, results, model.setup.labels, detection, key_added=key_added)
    write_router(mdata, routing, key_added)
    write_obs(mdata, key_added, {Keys(name=key_added).split: _parts(model, mdata.n_obs)})
    record = {**params, "seconds": model.train_seconds_, "n_train": len(model.train_indices)}
    tables = {HISTORY: model.history.reset_index(), DIAGNOSTICS: model.diagnostics, PARAMS: record}
    write_uns(mdata, key_added, **tables)


def _parts(model: "SCMOE", n_cells: int) -> pd.Categorical:
    """Which cells the model was trained on."""
    codes = np.zeros(n_cells, dtype=np.int8)
    for code, cells in enumerate((model.train_indices, model.validation_indices, model.test_indices)):
        codes[cells] = code
    return pd.Categorical.from_codes(codes, ROLES).remove_unused_categories()


def _check_predictions(mdata: MuData, model: "SCMOE", directions: Sequence[tuple[str, str]], key_added: str) -> None:
    """Raise before the training if predictions of these targets from these sources have no place."""
    keys = Keys(name=key_added)
    for source, target in directions:
        keys.check_imputed(target, [source], mdata.mod)
        check_results(
            mdata, key_added, [f"{place}/{keys.imputed(target, [source])}" for place in (OBSM, target + "/layers")]
        )
    n_values = sum(mdata.n_obs * len(model.feature_names[target]) for _, target in directions)
    check_memory(
        4 * n_values,
        "Predictions of all modalities",
        "Leave predict out, and predict some features: scmoe.tl.impute(..., features=...).",
    )


def check_n_clusters(mdata: MuData, n_clusters: int | None) -> None:
    """Raise if there are fewer cells than clusters."""
    if n_clusters is not None and n_clusters > mdata.n_obs:
        raise ValueError(f"n_clusters={n_clusters} is more than there are cells, {mdata.n_obs}. Lower it.")


def _result_paths(mdata: MuData, model: "SCMOE", key_added: str) -> list[str]:
    """Where results of cells go."""
    keys = Keys(name=key_added)
    labels = keys.of_annotation() if model.setup.labels else []
    router = router_paths(mdata, key_added).values()
    return [*keys.of_embedding(mdata.mod), *labels, f"obs/{keys.cluster}", f"obs/{keys.split}", *router]


def _params(
    model: "SCMOE", train_kwargs: Mapping[str, Any] | None, class_balance: str, split_key: str | None
) -> dict[str, Any]:
    """Settings of the model, in a form that files can hold; an error, before the training, if there is none."""
    from scmoe.model._save import versions

    setup = {name: value for name, value in model.setup.to_dict().items() if name not in LISTS_OF_FEATURES}
    params: dict[str, Any] = to_uns(
        {
            "network": asdict(model.config),
            "setup": setup,
            "train": dict(train_kwargs or {}),
            "class_balance": class_balance,
            "split_key": split_key,
            "seed": model.seed,
            "versions": versions(),
        }
    )
    return params
