"""A right call of every public function and method: what the faults of arguments start from."""

import importlib
import inspect
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import scmoe
from battery.world import GENE_NETWORK, KINDS, N_CELLS, NETWORK, TRAIN, World

Arguments = Callable[[World], dict[str, Any]]
PACKAGES = "pp tl pl metrics datasets model explain tokens losses".split()
METHODS = ("SCMOE", "XTRIMOGENE")
DOWNLOADS = ("datasets.bmmc_cite", "datasets.patchseq_m1", "datasets.pbmc10k_cite", "datasets.pbmc10k_multiome")
DOWNLOADS += ("datasets.zheng68k", "model.read_published", "XTRIMOGENE.from_published")
"""Functions that need files from elsewhere."""
RESULTS = ("metrics.ClassificationScores", "metrics.HubRatio", "model.PublishedWeights", "tokens.Cells", "tokens.Match")
RESULTS += ("tokens.Tokens", "tokens.Masked", "tokens.Tokenizer")
"""What functions return, and base classes: nobody makes one by hand."""
RNG = np.random.default_rng(0)
TRUTH = np.array(KINDS)[np.arange(30) % 3]
PREDICTED = np.where(np.arange(30) % 4 == 0, "B", TRUTH)
PROBABILITIES = np.where(PREDICTED[:, None] == np.array(KINDS), 0.8, 0.1)
VALUES = RNG.normal(size=(30, 4))
ROWS: dict[str, np.ndarray] = {"rna": np.full((30, 3), 1 / 3), "adt": np.full((30, 3), 1 / 3)}
LAYERS = {name: np.tile(rows[:, None], (1, 1, 1)) for name, rows in ROWS.items()}
SAYING = {"truth": TRUTH, "predicted": PREDICTED}


def on(name: str = "prepared", argument: str = "mdata", **arguments: Any) -> Arguments:
    """Arguments with a copy of the data."""
    return lambda world: {argument: world.mdata(name), **arguments}


def using(name: str = "prepared", **arguments: Any) -> Arguments:
    """Arguments with a copy of the data and the trained model."""
    return lambda world: {"mdata": world.mdata(name), "model": world.model, **arguments}


def given(**arguments: Any) -> Arguments:
    return lambda world: dict(arguments)


def figure(**arguments: Any) -> Arguments:
    return on("results", show=False, **arguments)


DONORS = {"condition": "half", "sample_key": "quarter"}
FEW = {"n_steps": 2, "n_cells": 8}
PP: dict[str, Arguments] = {
    "assign_tags": on("raw", modality="adt", features=["CD0", "CD1", "CD2"]),
    "augment": on("raw", "data", labels_key="kind"),
    "niche": on(),
    "oversample": on("raw", "data", labels_key="kind"),
    "prepare": on("raw"),
    "split": on("raw", "data"),
    "split_counts": on("raw"),
    "undersample": on("raw", "data", labels_key="kind"),
}
TL: dict[str, Arguments] = {
    "ablation": using(),
    "abundance": on(groupby="kind", **DONORS),
    "annotate": using(),
    "attention": using(),
    "attribute": using(groupby="kind", **FEW),
    "cluster": on("results", n_clusters=3, method="kmeans"),
    "deletion": using(groupby="kind", **FEW),
    "denoise": using(modality="rna"),
    "differential": on(groupby="kind", without_replicates=True, min_cells=2, **DONORS),
    "embed": using(),
    "expert_cards": using(n_permutations=9),
    "expert_stability": lambda w: {
        "mdata": w.mdata(),
        "models": {"a": w.model, "b": w.plain_model},
        "n_permutations": 9,
    },
    "expert_usage": using(n_permutations=9),
    "gradient_conflict": using(n_batches=2, batch_size=16),
    "impute": using(source="rna", target="adt"),
    "map_query": using(),
    "markers": on(groupby="kind"),
    "pretrain": on("genes", "adata", max_epochs=1, train_kwargs=TRAIN, **GENE_NETWORK),
    "tcav": using(groupby="kind", gene_sets={"set": ["gene0", "gene3", "gene6"]}, n_random=3),
    "train": on(max_epochs=1, train_kwargs=TRAIN, **NETWORK),
    "umap": on("results"),
}
TABLE = pd.DataFrame(
    {"f1": [0.5, 0.6], "recall": 0.5, "precision": 0.5, "support": 5, "f1_low": 0.1, "f1_high": 0.9},
    index=["B", "NK"],
)


def table_of(name: str, *arguments: Any) -> Any:
    return getattr(scmoe.metrics, name)(*arguments, labels=list(KINDS))


PL: dict[str, Arguments] = {
    "ablation": figure(),
    "attention": figure(),
    "attribution": figure(targets="B"),
    "calibration": lambda w: {"table": table_of("calibration_table", TRUTH, PREDICTED, PROBABILITIES), "show": False},
    "confusion": lambda w: {"table": table_of("confusion_table", TRUTH, PREDICTED), "show": False},
    "deletion": figure(target="B"),
    "expert_card": figure(expert=0),
    "expert_stability": figure(),
    "expert_usage": figure(),
    "gradient_conflict": figure(),
    "history": figure(),
    "imputed": figure(source="rna", target="adt", features=["CD1"]),
    "markers": figure(),
    "per_class": lambda w: {"tables": table_of("per_class_scores", TRUTH, PREDICTED), "show": False},
    "tcav": figure(),
}
METRICS: dict[str, Arguments] = {
    "calibration_table": given(**SAYING, probabilities=PROBABILITIES, labels=list(KINDS)),
    "classification_scores": given(**SAYING, labels=list(KINDS)),
    "confusion_table": given(**SAYING, labels=list(KINDS)),
    "coverage_accuracy": given(**SAYING, confidence=PROBABILITIES.max(axis=1), labels=list(KINDS)),
    "feature_scores": given(truth=VALUES, prediction=VALUES + 0.1),
    "frequency_groups": given(n_train={"B": 100, "NK": 20, "T": 5}),
    "hub_ratio": given(embedding=VALUES, group=TRUTH == "B"),
    "matched_accuracy": given(truth=TRUTH, predicted=PREDICTED),
    "per_class_scores": given(**SAYING, labels=list(KINDS), n_boot=9),
    "recall_slope": given(recall={"B": 0.9, "NK": 0.6, "T": 0.4}, n_train={"B": 100, "NK": 20, "T": 5}),
}
DATASETS: dict[str, Arguments] = {
    "from_anndata": on("genes", "adata"),
    "imbalance": on("raw", "data", labels_key="kind", rho=2.0),
    "imbalance_total": on("raw", "data", labels_key="kind", rhos=(1.0, 2.0)),
    "read": lambda w: {"path": w.file("raw")},
    "remove_cache": lambda w: {"path": w.file("raw")},
    "simulate_grn": given(n_cells=20, n_features=12),
    "simulate_spatial": given(n_cells=60, n_genes=18, n_proteins=4, n_types=3, n_regions=2),
    "write": lambda w: {"data": w.mdata(), "path": w.tmp / "out.h5mu"},
}
if find_spec("annbatch"):
    DATASETS["sample_atlas"] = lambda w: {"path": w.atlas(), "n_cells": 20}
MODEL: dict[str, Arguments] = {
    "FineTuneConfig": given(),
    "GeneConfig": given(),
    "NetworkConfig": given(),
    "PretrainConfig": given(),
    "SCMOE": lambda w: {"adata": w.untrained().adata, **NETWORK},
    "TrainConfig": given(),
    "XTRIMOGENE": lambda w: {"adata": w.untrained_genes().adata, **GENE_NETWORK},
}
BLOCKS = np.full((30, 1, 2, 2), 0.25)
EXPLAIN: dict[str, Arguments] = {}
TOKENS: dict[str, Arguments] = {
    "BinsTokenizer": given(),
    "ContinuousTokenizer": given(),
    "IntegerTokenizer": given(),
    "MaskingPolicy": given(),
    "RankTokenizer": given(),
    "Vocabulary": given(names=("gene0", "gene1")),
    "make_tokenizer": given(kind="bins", n_genes=5),
    "read_cells": on("genes", "adata"),
    "read_counts": on("genes", "adata"),
}
OF_SCMOE: dict[str, Arguments] = {
    "adapt": on("new_batch"),
    "get_ablation": on(argument="adata"),
    "get_activations": lambda w: {"layer": w.model.layers[0], "adata": w.mdata()},
    "get_annotation": on(argument="adata"),
    "get_attention": on(argument="adata"),
    "get_attributions": lambda w: {"target": w.model.label_target("B"), "adata": w.mdata(), "n_steps": 2},
    "get_gradient_conflict": on(argument="adata", n_batches=2, batch_size=16),
    "get_gradients": lambda w: {
        "target": w.model.label_target("B"),
        "layer": w.model.layers[0],
        "adata": w.mdata(),
    },
    "get_latent_representation": on(argument="adata"),
    "get_mapping_score": on(argument="adata"),
    "get_mean_attributions": lambda w: {"target": w.model.label_target("B"), "adata": w.mdata(), "n_steps": 2},
    "get_normalized": on(argument="adata", modality="rna"),
    "get_results": on(argument="adata"),
    "get_router_activations": on(argument="adata"),
    "get_unknown_detection": given(),
    "get_unknown_score": on(argument="adata"),
    "feature_target": given(source="rna", target="adt", feature="CD1"),
    "group_targets": lambda w: {"groups": w.mdata().obs["kind"], "adata": w.mdata()},
    "impute": on(argument="adata", source="rna", target="adt"),
    "label_target": given(label="B"),
    "mixture_weight": given(source="rna", target="adt"),
    "predict": on(argument="adata"),
    "predict_clusters": on(argument="adata"),
    "save": lambda w: {"dir_path": w.tmp / "new"},
    "load": lambda w: {"dir_path": w.folder()},
    "setup_mudata": on(),
    "train": given(max_epochs=1, **TRAIN),
}
OF_XTRIMOGENE: dict[str, Arguments] = {
    "fine_tune": lambda w: {
        "labels_key": "kind",
        "adata": w.mdata("genes"),
        "max_epochs": 1,
        "batch_size": 16,
        "enable_progress_bar": False,
    },
    "get_gene_context": on("genes", "adata"),
    "get_gene_embeddings": given(),
    "get_latent_representation": on("genes", "adata"),
    "impute": on("genes", "adata"),
    "load": lambda w: {"dir_path": w.folder(genes=True)},
    "predict": on("genes", "adata"),
    "save": lambda w: {"dir_path": w.tmp / "new"},
    "setup_anndata": on("genes", "adata"),
    "train": given(max_epochs=1, **TRAIN),
}
CALLS: dict[str, Arguments] = {
    f"{package}.{name}": arguments
    for package, table in {
        **{"pp": PP, "tl": TL, "pl": PL, "metrics": METRICS, "datasets": DATASETS, "model": MODEL, "tokens": TOKENS},
        **{"explain": EXPLAIN, "SCMOE": OF_SCMOE, "XTRIMOGENE": OF_XTRIMOGENE},
    }.items()
    for name, arguments in table.items()
}


ALTERS = {
    "pp.prepare": ("rna/X", "adt/X"),
    "pp.split_counts": ("rna/X", "adt/X"),
    "pp.niche": ("var/index", "varm/rna", "varm/adt"),
}
"""What calls change, as their documentation says, that was there before."""


def public() -> Iterator[str]:
    """Every public name: functions and classes of the packages, own methods of the models."""
    for package in PACKAGES:
        for name in getattr(importlib.import_module(f"scmoe.{package}"), "__all__", ()):
            yield f"{package}.{name}"
    for name in METHODS:
        for key, member in inspect.getmembers(getattr(scmoe.model, name), callable):
            if not key.startswith("_") and str(getattr(member, "__module__", "")).startswith("scmoe."):
                yield f"{name}.{key}"


def target(name: str, world: World | None = None) -> Callable[..., Any]:
    """The function or method of this name; of a model made for it where it would change the model."""
    owner, _, attribute = name.partition(".")
    if owner not in METHODS:
        return getattr(importlib.import_module(f"scmoe.{owner}"), attribute)
    if world is None or attribute.startswith(("setup_", "load")):
        return getattr(getattr(scmoe.model, owner), attribute)
    return getattr(model_for(owner, attribute, world), attribute)


def model_for(owner: str, attribute: str, world: World) -> Any:
    if owner == "SCMOE":
        if attribute == "predict_clusters":
            return world.clustering_model
        return world.untrained() if attribute == "train" else world.model
    if attribute == "predict":
        return world.tuned_model
    return world.untrained_genes() if attribute == "train" else world.gene_model


def available() -> list[str]:
    """The names of `CALLS` that this version has."""
    names = []
    for name in CALLS:
        owner, _, attribute = name.partition(".")
        place = getattr(scmoe.model, owner) if owner in METHODS else importlib.import_module(f"scmoe.{owner}")
        if hasattr(place, attribute):
            names.append(name)
    return names


def call(name: str, world: World, **changes: Any) -> Any:
    """Make the right call of this name, with some arguments changed."""
    try:
        return target(name, world)(**{**CALLS[name](world), **changes})
    finally:
        plt.close("all")


def cells(values: Any) -> pd.Series:
    """A column of the cells of `DATA`."""
    return pd.Series(np.resize(np.asarray(values), N_CELLS), index=[f"cell{i}" for i in range(N_CELLS)])
