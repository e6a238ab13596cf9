"""Keywords that an argument does not answer to, and the one that is meant."""

import inspect
from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches
from typing import NamedTuple

OWNERS = ("self", "cls")
"""What methods belong to."""
SYNONYMS = {
    "max_epochs": "epochs n_epochs num_epochs max_epoch iterations",
    "max_steps": "steps n_train_steps num_steps",
    "seed": "random_state random_seed rng",
    "n_hidden": "n_latent latent_dim n_dims n_dim n_dimensions hidden_size hidden_dim d_model dim embedding_dim width",
    "n_layers": "num_layers depth n_blocks",
    "n_heads": "num_heads",
    "n_experts": "num_experts experts",
    "top_k": "k topk n_active num_active",
    "dropout": "dropout_rate",
    "lr": "learning_rate step_size",
    "weight_decay": "wd l2",
    "batch_size": "batchsize minibatch_size",
    "batch_key": "batch batches sample_key donor_key",
    "labels_key": "label_key labels label cell_type_key celltype_key",
    "unlabeled_category": "unlabeled unknown_label unlabeled_label",
    "categorical_covariate_keys": "covariates covariate_keys categorical_covariates",
    "mdata": "adata data",
    "adata": "mdata data",
    "key_added": "key name",
    "key": "key_added",
    "accelerator": "use_gpu gpu device use_cuda",
    "devices": "gpus n_gpus num_gpus",
    "validation_size": "val_size test_size",
    "early_stopping": "early_stop patience",
    "n_top_features": "n_top_genes n_hvg hvg",
    "n_neighbors": "neighbors k n_neighbours",
    "n_clusters": "clusters k n_cluster",
    "resolution": "res leiden_resolution",
    "target": "target_modality to",
    "source": "source_modality sources from_modality",
    "modality": "modalities mod",
    "modalities": "modality mods",
    "layers": "layer",
    "layer": "layers",
    "groupby": "group_by groups cluster_key",
    "indices": "cells idx obs_names",
    "cells": "indices mask",
    "copy": "inplace",
    "save": "path filename output",
}
"""Words that other tools have for an argument of ours."""


MOST_NAMES = 30
"""Of a function's arguments that a message lists."""


class Place(NamedTuple):
    """Where a setting belongs."""

    names: Sequence[str]
    call: str
    """How it is passed there, with ``{}`` for its name."""


def parameters(function: Callable[..., object]) -> list[str]:
    """Names of a function's arguments."""
    named = inspect.signature(function).parameters.values()
    return [each.name for each in named if each.kind is not each.VAR_KEYWORD and each.name not in OWNERS]


def check_keywords(
    function: str, keywords: Iterable[str], names: Sequence[str], elsewhere: Sequence[Place] = ()
) -> None:
    """Raise if a keyword is none of a function's.

    Parameters
    ----------
    function
        Its name, for the message.
    keywords
        What it was called with.
    names
        Those it has.
    elsewhere
        Where else a setting of that name may belong.

    Raises
    ------
    TypeError
        Names the keyword, and what is likely meant.
    """
    for keyword in keywords:
        if keyword not in names:
            raise TypeError(f"{function} has no argument {keyword!r}. {_suggestion(keyword, names, elsewhere)}")


def _suggestion(keyword: str, names: Sequence[str], elsewhere: Sequence[Place]) -> str:
    places = [Place(names, "{}"), *elsewhere]
    meant = (keyword, *(name for name in SYNONYMS if keyword in _words(name)))
    for name in meant:
        for place in places:
            if name in place.names:
                return _sentence(name, place)
    words = {word: (name, place) for place in reversed(places) for name in place.names for word in _words(name)}
    if best := get_close_matches(keyword, list(words), n=1):
        return _sentence(*words[best[0]])
    return f"It has {', '.join(names[:MOST_NAMES])}{' and more' if len(names) > MOST_NAMES else ''}."


def _words(name: str) -> list[str]:
    return [name, *SYNONYMS.get(name, "").split()]


def _sentence(name: str, place: Place) -> str:
    if place.call == "{}":
        return f"Did you mean {name!r}?"
    return f"Pass {place.call.format(name)}."
