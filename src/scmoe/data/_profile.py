"""What the training data say of one modality before anything is fitted: its features, their total, their rates."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from mudata import MuData

from scmoe._check import Matrix
from scmoe._keys import SET_ASIDE
from scmoe.data._choice import chosen_features
from scmoe.data._panels import measured_by_table
from scmoe.data._reference import Reference, fit_reference
from scmoe.pp._kind import COMPARABLE_KINDS
from scmoe.pp._missing import detect


class Profile(NamedTuple):
    """Of one modality."""

    features: list[str]
    """What the model reads."""
    reference: Reference | None
    """What its normalization ranges over."""
    rates: list[float] | None
    """Of each of `features`, the share of cells in which it is above zero; None where zero is a value like others."""


def profile_of(
    mdata: MuData, name: str, matrix: Matrix, kind: str | None, use_var: str | None, batch_key: str | None
) -> Profile:
    """Describe a modality, whose values `matrix` are."""
    adata = mdata.mod[name]
    names = list(adata.var_names.astype(str))
    table = measured_by_table(mdata, name, names)
    ever = np.ones(len(names), bool) if table is None else table.features[np.unique(table.codes)].any(0)
    everywhere = ever if table is None else table.features[np.unique(table.codes)].all(0)
    measured = {each for each, yes in zip(names, ever, strict=True) if yes}
    features = [each for each in chosen_features(mdata, name, use_var) if each in measured]
    if not features:
        raise ValueError(f"No value of mdata[{name!r}] was measured, so there is nothing to learn from. Remove it.")
    is_used = np.ones(len(names), bool)
    if SET_ASIDE in adata.var:
        is_used = (adata.var[SET_ASIDE].astype(str) == "").to_numpy()
    reference = fit_reference(matrix, kind, names, [is_used & everywhere, is_used & ever])
    if kind not in COMPARABLE_KINDS or kind == "protein":
        return Profile(features, reference, None)
    codes, n_batches = np.zeros(adata.n_obs, int), 1
    if table is not None:
        codes, n_batches = table.codes % len(table.features), len(table.features)
    elif batch_key is not None:
        codes, batches = pd.factorize(mdata.obs[batch_key].loc[adata.obs_names].astype(str))
        n_batches = len(batches)
    rates = detect(matrix, codes, n_batches).rates()[pd.Index(names).get_indexer(features)]
    return Profile(features, reference, np.round(rates, 4).tolist())
