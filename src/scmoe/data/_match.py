"""How a query and a model fit together: modalities, preparation, covariates, features."""

from collections.abc import Sequence

import numpy as np
from mudata import MuData

from scmoe.data._features import match_features, mismatch_reason
from scmoe.data._scale import find_mismatch
from scmoe.data._setup import Setup, describe_layer, prepared_kinds, values_of
from scmoe.datasets._cells import modality_hint, owners_of

MIN_FOUND = 0.1
"""Smallest share of a modality's features that a query may have; with fewer, names of another kind are likelier."""
MIN_KNOWN, MIN_PANEL = 0.5, 5
"""Of antibodies: unless this share of the query's own, and this many, are the model's. Its panel is small then."""
MAX_LISTED = 20
"""Antibodies that the log names one by one."""


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
    """Raise if a query was prepared as something else than the training data."""
    expected, kind = setup.kinds.get(name), prepared_kinds(mdata, [name]).get(name)
    if setup.likelihood(name).reads_counts or None in (expected, kind) or kind == expected:
        return
    raise ValueError(
        f"mdata[{name!r}] was prepared as {kind!r}, but the model learned from {expected!r}. "
        f"{how_to_prepare(name, setup)}"
    )


def how_to_prepare(name: str, setup: Setup) -> str:
    """What to do about a query on another scale."""
    kind = setup.kinds.get(name)
    if kind in (None, "continuous") or setup.likelihood(name).reads_counts:
        return f"Prepare mdata[{name!r}] as the training data were."
    return f"Run scmoe.pp.prepare(mdata, kinds={{{name!r}: {kind!r}}}) on the raw counts first."


def check_scale(mdata: MuData, name: str, setup: Setup, *, has_total: bool) -> list[str]:
    """Raise if the values of a query cannot be on the scale of the training data; lines of the log if they may not be.

    Values are judged by themselves, see `find_mismatch`. Those that were prepared and then changed, as in a
    perturbation, the user may want so: of them only raw counts, and 0 and 1 alone, are refused. Numbers of any kind are
    possible where the modality is continuous.
    """
    scale, layer = setup.scale(name), setup.layers[name]
    mismatch = None if scale is None else find_mismatch(scale, values_of(mdata, name, layer), has_total=has_total)
    if mismatch is None:
        return []
    text = describe_mismatch(name, setup, mismatch.text)
    is_changed = name in prepared_kinds(mdata, [name]) and not mismatch.is_whole
    if mismatch.is_impossible and not is_changed and setup.kinds.get(name) != "continuous":
        raise ValueError(text)
    return [text]


def describe_mismatch(name: str, setup: Setup, text: str) -> str:
    """Where the values are that a text is about, and what to do."""
    return f"mdata[{name!r}].{describe_layer(setup.layers[name])} {text}. {how_to_prepare(name, setup)}"


def check_covariates(mdata: MuData, setup: Setup) -> None:
    """Raise if a covariate that is a number is absent; a category that is absent is an unknown one."""
    for key in setup.continuous:
        if key not in mdata.obs:
            raise KeyError(
                f"The model was trained with the number {key!r} of each cell (continuous_covariate_keys), but "
                f"mdata.obs has no such column. Add it: a number cannot be left open.{modality_hint(mdata, key)}"
            )


def find_features(mdata: MuData, name: str, setup: Setup) -> np.ndarray:
    """The columns (D,) of the model's features in a modality; -1: not there, which is an error where it is too many."""
    wanted, adata = setup.feature_names[name], mdata.mod[name]
    match = match_features(wanted, adata, is_protein=is_protein(name, setup))
    missing = [feature for feature, column in zip(wanted, match.columns, strict=True) if column < 0]
    is_panel = is_protein(name, setup) and match.n_found >= max(MIN_KNOWN * adata.n_vars, MIN_PANEL)
    if match.n_found < max(MIN_FOUND * len(wanted), 1) and not is_panel:
        raise ValueError(
            f"mdata[{name!r}] has {match.n_found} of the model's {len(wanted)} features, and at least {MIN_FOUND:.0%} "
            f"are needed. The model's are {shorten(wanted)}; those of the data are "
            f"{shorten(adata.var_names.astype(str).tolist())}. {mismatch_reason(wanted, adata, name)}"
        )
    if missing and setup.likelihood(name).reads_counts:
        raise ValueError(
            f"mdata[{name!r}] lacks {len(missing)} of the model's {len(wanted)} features: {shorten(missing)}. A model "
            f"of counts ({setup.likelihoods[name]!r}) needs all of them, for it divides by the total of a cell. Add "
            "their counts, or train on normalized values (scmoe.pp.prepare and the default likelihood)."
        )
    return match.columns


def is_protein(name: str, setup: Setup) -> bool:
    """Whether the features of a modality are antibodies."""
    return setup.kinds.get(name) == "protein"


def query_notes(mdata: MuData, setup: Setup) -> list[str]:
    """What a user should know of how data that can be read fit a model: one line of the log each."""
    notes = [note for key, argument in category_keys(setup) for note in category_notes(mdata, key, argument)]
    for name in setup.modalities:
        if name not in mdata.mod:
            continue
        wanted = setup.feature_names[name]
        match, n_wanted = match_features(wanted, mdata.mod[name], is_protein=is_protein(name, setup)), len(wanted)
        if match.source is not None:
            notes.append(f"{name}: the model's features are found by the names in var[{match.source!r}]")
        if match.n_versions:
            notes.append(f"{name}: {match.n_versions} features are the model's but for the version of the identifier")
        if match.synonyms:
            pairs = ", ".join(f"{there} ({here})" for there, here in match.synonyms.items())
            notes.append(f"{name}: antibodies that the model calls otherwise (in brackets): {pairs}")
        if match.n_found < n_wanted:
            features = [feature for feature, column in zip(wanted, match.columns, strict=True) if column >= 0]
            listed = f" ({', '.join(features)})" if is_protein(name, setup) and len(features) <= MAX_LISTED else ""
            notes.append(
                f"{name}: {match.n_found} of the model's {n_wanted} features found{listed}; the others are masked, and "
                "filled with what these let expect"
            )
    return notes


def category_keys(setup: Setup) -> list[tuple[str, str]]:
    """Columns of categories that a model reads, and the arguments that named them."""
    batch = [] if setup.batch_key is None else [(setup.batch_key, "batch_key")]
    return batch + [(key, "categorical_covariate_keys") for key in setup.categorical]


def category_notes(mdata: MuData, key: str, argument: str) -> list[str]:
    """What to say where cells have no entry in a column of categories."""
    meaning = f"count as of an unknown {'batch' if argument == 'batch_key' else 'category'}"
    if key not in mdata.obs:
        hint = f".{modality_hint(mdata, key)}" if owners_of(mdata, key) else ""
        return [f"mdata.obs has no column {key!r}: all cells {meaning}{hint}"]
    n_missing = int(mdata.obs[key].isna().sum())
    return [f"obs[{key!r}]: {n_missing} of {mdata.n_obs} cells have no entry and {meaning}"] if n_missing else []


def shorten(names: Sequence[str]) -> str:
    """The first few names."""
    return ", ".join(map(repr, names[:5])) + (", ..." if len(names) > 5 else "")
