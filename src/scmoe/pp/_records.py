"""What `scmoe.pp.prepare` wrote down, read again."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData

from scmoe._keys import MISSING, PREPARE, SET_ASIDE, UNS_ROOT


def prepare_records(data: AnnData | MuData) -> Mapping[str, Any]:
    """What was noted of each modality; nothing where `prepare` was not run, or something else is under its name."""
    records = _entry(data, PREPARE)
    if not isinstance(records, Mapping):
        return {}
    return {name: record for name, record in records.items() if isinstance(record, Mapping) and "kind" in record}


def missing_table(data: AnnData | MuData) -> pd.DataFrame | None:
    """The features that were not measured in some cells; None: all were."""
    table = _entry(data, MISSING)
    return table if isinstance(table, pd.DataFrame) else None


def read_by_models(adata: AnnData) -> np.ndarray:
    """(features,) which were not set aside."""
    if SET_ASIDE not in adata.var:
        return np.ones(adata.n_vars, bool)
    return (adata.var[SET_ASIDE].astype(str) == "").to_numpy()


def _entry(data: AnnData | MuData, key: str) -> Any:
    root = data.uns.get(UNS_ROOT, {})
    return root.get(key) if isinstance(root, Mapping) else None
