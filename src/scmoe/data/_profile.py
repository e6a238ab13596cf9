"""What the training data say of one modality before anything is fitted: its features, their total, rates and scale."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from mudata import MuData
from scipy import sparse

from scmoe._log import logger
from scmoe._matrix import Matrix, n_missing
from scmoe.data._choice import chosen_features
from scmoe.data._panels import (
    batches_of,
    both,
    measured_by_table,
    measured_by_values,
    measured_without_record,
    takes_zeros_for_values,
)
from scmoe.data._reference import Reference, fit_reference
from scmoe.data._scale import WHOLE, Scale, scale_of
from scmoe.pp._kind import COMPARABLE_KINDS
from scmoe.pp._missing import detect
from scmoe.pp._records import read_by_models

MAX_GAPS = 0.01
"""Share of the cells that may lack a feature that all panels hold."""


class Profile(NamedTuple):
    """Of one modality."""

    features: list[str]
    """What the model reads."""
    reference: Reference | None
    """What its normalization ranges over."""
    rates: list[float] | None
    """Of each of `features`, the share of cells in which it is above zero; None where zero is a value like others."""
    scale: Scale
    """How the values were made."""


def profile_of(
    mdata: MuData, name: str, matrix: Matrix, kind: str | None, use_var: str | None, batch_key: str | None
) -> Profile:
    """Describe a modality, whose values `matrix` are."""
    adata = mdata.mod[name]
    names = list(adata.var_names.astype(str))
    measured, rates = measured_by_table(mdata, name, names), None
    if kind in COMPARABLE_KINDS and kind != "protein":
        measured = both(measured, measured_without_record(mdata, name, matrix, batch_key))
        batches = batches_of(mdata, name, batch_key)
        groups = batches if measured is None else measured.groups()
        rates = detect(matrix, *groups).rates()
        if not takes_zeros_for_values(mdata, name):
            measured = both(measured, measured_by_values(matrix, *batches, rates))
    ever, shared = ~gaps(matrix, 1.0), ~gaps(matrix, MAX_GAPS)
    if measured is not None:
        holds = measured.features[np.unique(measured.codes)]
        ever, shared = ever & holds.any(0), shared & holds.all(0)
    known = {each for each, yes in zip(names, ever, strict=True) if yes}
    chosen = chosen_features(mdata, name, use_var)
    features = [each for each in chosen if each in known]
    if len(features) < len(chosen):
        never = next(each for each in chosen if each not in known)
        logger.info(
            "%s: %d features have no value in any cell, and are not read: %s%s",
            *(name, len(chosen) - len(features), never, ", ..." if len(chosen) - len(features) > 1 else ""),
        )
    if not features:
        raise ValueError(f"No value of mdata[{name!r}] was measured, so there is nothing to learn from. Remove it.")
    at = pd.Index(names).get_indexer(features)
    scale = scale_of(matrix, kind, at)
    comparable = None if scale.name in WHOLE else kind or scale.kind  # counts are scaled by whoever reads them
    reference = fit_reference(matrix, comparable, names, read_by_models(adata) & ever, shared)
    return Profile(features, reference, None if rates is None else np.round(rates[at], 4).tolist(), scale)


def gaps(matrix: Matrix, share: float) -> np.ndarray:
    """(features,) which are missing (NaN) in at least this share of the cells that have any."""
    if sparse.issparse(matrix) or matrix.dtype.kind != "f":
        return np.zeros(matrix.shape[1], bool)
    n_of_cell, n_of_feature = n_missing(matrix)
    n_empty = int((n_of_cell == matrix.shape[1]).sum())
    if n_empty == len(matrix):
        return np.ones(matrix.shape[1], bool)
    return (n_of_feature - n_empty) / (len(matrix) - n_empty) >= share
