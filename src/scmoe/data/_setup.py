"""What is where in a MuData: the one description that the data set, the network and a saved model share."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from mudata import MuData
from scipy.sparse import spmatrix

from scmoe._check import check_mdata, layer_names
from scmoe._keys import COUNTS_LAYER, HIGHLY_VARIABLE, UNKNOWN_LABEL
from scmoe._matrix import (
    MAX_VALUE,
    check_array,
    check_counts,
    check_digits,
    check_values,
    is_beyond,
    looks_like_counts,
    loses_digits,
)
from scmoe.data._choice import check_use_var, readable_modalities
from scmoe.data._likelihood import LIKELIHOODS, Gaussian, Likelihood
from scmoe.data._profile import profile_of
from scmoe.data._scale import Scale, former_scale
from scmoe.datasets._categories import label_names, refuse_decimals, report_unlabeled
from scmoe.datasets._cells import column_of, raw_column
from scmoe.pp._kind import COUNT_KINDS, decide_kind
from scmoe.pp._records import prepare_records

FEW = 10
"""Cells that may all have different labels."""


@dataclass(frozen=True, kw_only=True)
class Setup:
    """Where a model finds its data in a MuData.

    Parameters
    ----------
    modalities
        Names, in the model's order.
    layers
        Layer of each modality with its values; None: ``X``.
    likelihoods
        Likelihood of each modality.
    feature_names
        Features of each modality, in the model's order.
    kinds
        What `scmoe.pp.prepare` took each modality for; absent where the modality was not prepared by it.
    total_features, totals
        The features that the normalization of a modality ranges over, and their total (0: a mean), see `Reference`;
        absent where cells have none in common.
    detection
        Share of the cells in which each feature is above zero, of those where it was measured; absent where zero is a
        value like others.
    scales
        How the values of each modality were made, a `Scale` as a plain dict; absent in models of older versions.
    batch_key, batches
        Column of ``mdata.obs`` with the batch, and its categories; None and one nameless batch without it.
    categorical, continuous
        Further covariates: categories of columns of ``mdata.obs``, and names of columns with numbers.
    labels_key, labels, unlabeled_category
        Column of ``mdata.obs`` with the labels, its categories without the unlabeled one, and the name of that one.
    """

    modalities: list[str]
    layers: dict[str, str | None]
    likelihoods: dict[str, str]
    feature_names: dict[str, list[str]]
    kinds: dict[str, str]
    total_features: dict[str, list[str]] = field(default_factory=dict)
    totals: dict[str, float] = field(default_factory=dict)
    detection: dict[str, list[float]] = field(default_factory=dict)
    scales: dict[str, dict[str, Any]] = field(default_factory=dict)
    batch_key: str | None = None
    batches: list[str]
    categorical: dict[str, list[str]] = field(default_factory=dict)
    continuous: list[str] = field(default_factory=list)
    labels_key: str | None = None
    labels: list[str]
    unlabeled_category: str = UNKNOWN_LABEL

    @classmethod
    def from_mudata(
        cls,
        mdata: MuData,
        *,
        modalities: Sequence[str] | None = None,
        layers: Mapping[str, str | None] | None = None,
        likelihoods: Mapping[str, str] | None = None,
        batch_key: str | None = None,
        categorical_covariate_keys: Sequence[str] = (),
        continuous_covariate_keys: Sequence[str] = (),
        labels_key: str | None = None,
        unlabeled_category: str = UNKNOWN_LABEL,
        use_var: str | None = HIGHLY_VARIABLE,
    ) -> "Setup":
        """Check `mdata` and describe it; changes nothing. See `scmoe.model.SCMOE.setup_mudata` for the arguments."""
        check_mdata(mdata, modalities)
        names = check_mdata(mdata, readable_modalities(mdata) if modalities is None else modalities)
        check_use_var(mdata, names, use_var)
        layers, likelihoods = dict(layers or {}), dict(likelihoods or {})
        for argument, mapping in (("layers", layers), ("likelihoods", likelihoods)):
            if unknown := set(mapping) - set(names):
                raise KeyError(f"{argument} names the modality {min(unknown)!r}; this model has {', '.join(names)}.")
        likelihoods = {name: choose_likelihood(mdata, name, layers.get(name), likelihoods.get(name)) for name in names}
        layers = {
            name: layers[name] if name in layers else default_layer(mdata, name, likelihoods[name]) for name in names
        }
        was_prepared = prepared_kinds(mdata, names)
        for name in names:
            # What a count was not measured of, prepare has said; elsewhere a feature without any value is a mistake.
            is_prepared = was_prepared.get(name) in COUNT_KINDS
            check_modality(mdata, name, layers[name], likelihoods[name], allow_empty=is_prepared)
            if not LIKELIHOODS[likelihoods[name]].reads_counts:
                where, var_names = describe_layer(layers[name]), mdata.mod[name].var_names
                check_digits(values_of(mdata, name, layers[name]), name, where, var_names)
        labels = label_categories(mdata, labels_key, unlabeled_category)
        for key in continuous_covariate_keys:
            if loses_digits(numbers_of(mdata, key)[:, None]).any():
                raise ValueError(
                    f"mdata.obs[{key!r}] varies by too little around a large number for single precision (7 digits), "
                    "in which models compute. Subtract its mean first."
                )
        batches = categories(mdata, batch_key, "batch_key") or [""]
        kinds = known_kinds(mdata, names)
        profiles = {
            name: profile_of(mdata, name, values_of(mdata, name, layers[name]), kinds.get(name), use_var, batch_key)
            for name in names
        }
        references = {name: profile.reference for name, profile in profiles.items() if profile.reference is not None}
        return cls(
            modalities=names,
            layers=layers,
            likelihoods=likelihoods,
            feature_names={name: profile.features for name, profile in profiles.items()},
            kinds=kinds,
            total_features={name: reference.features for name, reference in references.items()},
            totals={name: reference.total for name, reference in references.items()},
            detection={name: profile.rates for name, profile in profiles.items() if profile.rates is not None},
            scales={name: asdict(profile.scale) for name, profile in profiles.items()},
            batch_key=batch_key,
            batches=batches,
            categorical={
                key: categories(mdata, key, "categorical_covariate_keys") for key in categorical_covariate_keys
            },
            continuous=list(continuous_covariate_keys),
            labels_key=labels_key,
            labels=labels,
            unlabeled_category=unlabeled_category,
        )

    def likelihood(self, modality: str) -> Likelihood:
        """Likelihood of a modality."""
        return LIKELIHOODS[self.likelihoods[modality]]

    def scale(self, modality: str) -> Scale | None:
        """How the training values of a modality were made; None if nobody knows."""
        if modality in self.scales:
            return Scale(**self.scales[modality])
        return former_scale(self.kinds.get(modality), self.likelihood(modality).reads_counts)

    def to_dict(self) -> dict[str, Any]:
        """Plain types that JSON can hold; `Setup(**d)` is the way back."""
        return asdict(self)


def values_of(mdata: MuData, modality: str, layer: str | None) -> np.ndarray | spmatrix:
    """The matrix of a modality: a layer, or ``X`` for None."""
    adata = mdata.mod[modality]
    if layer is None:
        return adata.X
    if layer not in adata.layers:
        raise KeyError(
            f"mdata[{modality!r}] has no layer {layer!r}; found {', '.join(layer_names(adata)) or 'none'}. "
            "Name one of these in layers=, or None for X."
        )
    return adata.layers[layer]


def describe_layer(layer: str | None) -> str:
    """How error messages name the matrix."""
    return "X" if layer is None else f"layers[{layer!r}]"


def prepared_kinds(mdata: MuData, modalities: Sequence[str]) -> dict[str, str]:
    """What `scmoe.pp.prepare` took the modalities for, as far as it was run."""
    records = prepare_records(mdata)
    return {name: str(records[name]["kind"]) for name in modalities if name in records}


def known_kinds(mdata: MuData, modalities: Sequence[str]) -> dict[str, str]:
    """The same, and where the record was lost (joining data drops it) what the counts in their layer say."""
    kinds = prepared_kinds(mdata, modalities)
    for name in modalities:
        adata = mdata.mod[name]
        if name not in kinds and COUNTS_LAYER in adata.layers:
            decision = decide_kind(name, adata, adata.layers[COUNTS_LAYER])
            if decision.kind in COUNT_KINDS and not decision.is_doubtful:
                kinds[name] = decision.kind
    return kinds


def choose_likelihood(mdata: MuData, modality: str, layer: str | None, likelihood: str | None) -> str:
    """The likelihood asked for; Gaussian by default, refused for raw counts, for which it would be wrong."""
    if likelihood is None:
        matrix = values_of(mdata, modality, layer)
        check_array(matrix, modality, describe_layer(layer))
        if looks_like_counts(matrix) and prepared_kinds(mdata, [modality]).get(modality) != "continuous":
            raise ValueError(
                f"mdata[{modality!r}].{describe_layer(layer)} holds raw counts, which the default Gaussian likelihood "
                f"does not fit. Run scmoe.pp.prepare(mdata) first, or pass likelihoods={{{modality!r}: 'nb'}} to model "
                f"the counts, or likelihoods={{{modality!r}: 'gaussian'}} to take them as they are."
            )
        return Gaussian.name
    if likelihood not in LIKELIHOODS:
        raise ValueError(
            f"The likelihood of {modality!r} must be one of {', '.join(LIKELIHOODS)}; found {likelihood!r}."
        )
    return likelihood


def default_layer(mdata: MuData, modality: str, likelihood: str) -> str | None:
    """The raw counts that `scmoe.pp.prepare` kept, for the likelihoods that model counts; else ``X``."""
    return COUNTS_LAYER if LIKELIHOODS[likelihood].reads_counts and COUNTS_LAYER in mdata.mod[modality].layers else None


def check_modality(
    mdata: MuData, modality: str, layer: str | None, likelihood: str, *, allow_empty: bool = False
) -> None:
    """Raise if the values of a modality cannot be modeled; with `allow_empty`, a cell or feature may be all NaN."""
    adata, matrix = mdata.mod[modality], values_of(mdata, modality, layer)
    place = (modality, describe_layer(layer), adata.obs_names, adata.var_names)
    if LIKELIHOODS[likelihood].reads_counts:
        check_counts(matrix, *place, allow_missing=True)
    else:
        check_values(matrix, *place, allow_empty=allow_empty)


def categories(mdata: MuData, key: str | None, argument: str) -> list[str]:
    """The sorted categories of a column of ``mdata.obs``; an error if it is absent or has missing values."""
    if key is None:
        return []
    return sorted(column_of(mdata, key, argument).unique())


def label_categories(mdata: MuData, key: str | None, unlabeled_category: str) -> list[str]:
    """The sorted labels in a column of ``mdata.obs``, two at least; cells without an entry have none, the log says."""
    if key is None:
        return []
    column = raw_column(mdata, key, "labels_key")
    refuse_decimals(column, f"mdata.obs[{key!r}] (labels_key)")
    report_unlabeled(column, unlabeled_category)
    labels = sorted(label_names(column, unlabeled_category).dropna().unique())
    if len(labels) == mdata.n_obs > FEW:
        raise ValueError(
            f"labels_key={key!r} gives each of the {mdata.n_obs} cells a label of its own. Name a column of types, or "
            "leave labels_key out."
        )
    if len(labels) < 2:
        raise ValueError(
            f"mdata.obs[{key!r}] must hold at least two classes to learn from; found {labels or 'none'} "
            f"(besides {unlabeled_category!r}). Leave labels_key out to train without labels."
        )
    return labels


def numbers_of(mdata: MuData, key: str) -> np.ndarray:
    """A column of ``mdata.obs`` as numbers; an error if it holds anything else."""
    column = column_of(mdata, key, "continuous_covariate_keys")
    values = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64)
    is_usable = np.isfinite(values) & ~is_beyond(values)
    if not is_usable.all():
        i = int(is_usable.argmin())
        problem = f"{values[i]:g}" if np.isfinite(values[i]) else repr(column.iloc[i])
        raise ValueError(
            f"mdata.obs[{key!r}] must hold finite numbers, up to {MAX_VALUE:g}, to be a continuous covariate; found "
            f"{problem} in cell {mdata.obs_names[i]!r}. Name a column of categories in "
            "categorical_covariate_keys instead."
        )
    return values
