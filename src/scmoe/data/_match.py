"""How a query and a model fit together: modalities, preparation, features."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from mudata import MuData

from scmoe._check import looks_like_counts
from scmoe._log import logger
from scmoe.data._setup import Setup, describe_layer, prepared_kinds, values_of

MIN_FOUND = 0.1
"""Smallest share of a modality's features that a query may have; with fewer, names of another kind are likelier."""


def known_modalities(mdata: MuData, setup: Setup) -> list[str] | None:
    """The model's modalities that `mdata` has; at least one."""
    if not isinstance(mdata, MuData):
        return None  # `check_mdata` says what is wrong with it
    here = [name for name in setup.modalities if name in mdata.mod]
    if not here:
        names = ", ".join(mdata.mod) or "none"
        raise ValueError(
            f"The data have none of the model's modalities, {', '.join(setup.modalities)}; found {names}. Rename them."
        )
    return here


def check_preparation(mdata: MuData, name: str, setup: Setup) -> None:
    """Raise if the values of a query were not prepared as those of the training data."""
    expected = setup.kinds.get(name)
    if expected is None or setup.likelihood(name).reads_counts:
        return
    remedy = f"Run scmoe.pp.prepare(mdata, kinds={{{name!r}: {expected!r}}}) on the raw counts first."
    kind = prepared_kinds(mdata, [name]).get(name)
    if kind is not None and kind != expected:
        raise ValueError(f"mdata[{name!r}] was prepared as {kind!r}, but the model learned from {expected!r}. {remedy}")
    if kind is None and expected != "continuous" and looks_like_counts(values_of(mdata, name, setup.layers[name])):
        where = describe_layer(setup.layers[name])
        raise ValueError(f"mdata[{name!r}].{where} holds raw counts; the model learned from prepared values. {remedy}")


def check_covariates(mdata: MuData, setup: Setup) -> None:
    """Raise if the column of a covariate is absent."""
    keys = ([setup.batch_key] if setup.batch_key is not None else []) + [*setup.categorical, *setup.continuous]
    for key in keys:
        if key not in mdata.obs:
            which = "batch_key" if key == setup.batch_key else "the covariate"
            raise KeyError(
                f"The model was trained with {which}={key!r}, but mdata.obs has no such column. Add it; cells of a "
                "category that the model does not know are decoded for the mean of its categories."
            )


def find_features(mdata: MuData, name: str, setup: Setup) -> np.ndarray:
    """The columns (D,) of the model's features in a modality; -1: not there, which is an error where it is too many."""
    wanted = setup.feature_names[name]
    present = mdata.mod[name].var_names.astype(str)
    columns = present.get_indexer(wanted)
    missing = [feature for feature, column in zip(wanted, columns, strict=True) if column < 0]
    n_found = len(wanted) - len(missing)
    if n_found < max(MIN_FOUND * len(wanted), 1):
        raise ValueError(
            f"mdata[{name!r}] has {n_found} of the model's {len(wanted)} features, and at least {MIN_FOUND:.0%} are "
            f"needed. The model's are {shorten(wanted)}; those of the data are {shorten(present.tolist())}. If "
            f"one side holds identifiers (Ensembl) and the other symbols, set mdata[{name!r}].var_names to the model's "
            "kind and call mdata.update()."
        )
    if missing and setup.likelihood(name).reads_counts:
        raise ValueError(
            f"mdata[{name!r}] lacks {len(missing)} of the model's {len(wanted)} features: {shorten(missing)}. A model "
            f"of counts ({setup.likelihoods[name]!r}) needs all of them, for it divides by the total of a cell. Add "
            "their counts, or train on normalized values (scmoe.pp.prepare and the default likelihood)."
        )
    if missing:
        log_missing(name, len(wanted), tuple(missing))
    return columns


@lru_cache(maxsize=64)
def log_missing(modality: str, n_wanted: int, missing: tuple[str, ...]) -> None:
    """Say it once for the same features: a query is read anew by each method of a model."""
    logger.warning(
        "%s: %d of the model's %d features found; the others are masked, and filled with what these let expect",
        modality,
        n_wanted - len(missing),
        n_wanted,
    )


def shorten(names: Sequence[str]) -> str:
    """The first few names."""
    return ", ".join(map(repr, names[:5])) + (", ..." if len(names) > 5 else "")
