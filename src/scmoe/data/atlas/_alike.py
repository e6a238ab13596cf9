"""Cells of an atlas are prepared as the sample was from which the model's statistics come."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData

from scmoe._keys import COUNTS_LAYER, MISSING, PREPARE, UNS_ROOT
from scmoe._matrix import Matrix
from scmoe.data._panels import measured_by_table
from scmoe.pp._kind import COUNT_KINDS
from scmoe.pp._modality import MIN_SHARED
from scmoe.pp._normalize import clr, log_normalize
from scmoe.pp._records import missing_table, prepare_records


class Preparation(NamedTuple):
    """What `scmoe.pp.prepare` decided by looking at a sample, to be done to other cells without looking at them."""

    records: Mapping[str, Any]
    """Of each modality; empty where the sample was not prepared."""
    missing: pd.DataFrame | None
    """The features that were not measured in some cells."""

    @classmethod
    def of(cls, mdata: MuData) -> "Preparation":
        """That of a sample."""
        return cls(prepare_records(mdata), missing_table(mdata))

    @property
    def columns(self) -> list[str]:
        """Columns of ``obs`` that say what was measured."""
        return [] if self.missing is None else [key for key in self.missing["column"].astype(str).unique() if key]

    def apply(self, mdata: MuData) -> None:
        """Prepare cells with counts in ``X``, in their place."""
        root = {PREPARE: self.records} | ({} if self.missing is None else {MISSING: self.missing})
        mdata.uns[UNS_ROOT] = root
        for name, adata in mdata.mod.items():
            adata.layers[COUNTS_LAYER] = adata.X
            if name in self.records and self.records[name]["kind"] in COUNT_KINDS:
                adata.X = self._values(mdata, name, adata)

    def _values(self, mdata: MuData, name: str, adata: AnnData) -> Matrix:
        """Normalized over the features that the sample's were normalized over, whichever these cells have."""
        record, features = self.records[name], adata.var_names.astype(str)
        is_used = ~features.isin(list(record.get("set_aside", [])))
        if record["kind"] == "protein":
            measured = measured_by_table(mdata, name, list(features))
            mask = None if measured is None else lambda rows: ~measured.of(np.arange(adata.n_obs)[rows])
            return clr(adata.X, is_used, mask)
        missing = [] if self.missing is None else self.missing.loc[self.missing["modality"] == name, "feature"]
        shared = is_used & ~features.isin(list(missing))
        over = shared if shared.sum() >= MIN_SHARED * adata.n_vars else is_used
        return log_normalize(adata.X, None if over.all() else over)
