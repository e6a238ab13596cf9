"""A table of markers in the layout of `scanpy.tl.rank_genes_groups`, which scanpy's plots and tables read."""

from typing import Any

import numpy as np
import pandas as pd

FIELDS = {
    "names": "feature",
    "scores": "score",
    "pvals": "p_value",
    "pvals_adj": "p_adjusted",
    "logfoldchanges": "log_fold_change",
}
UNTESTED = {"scores": 0.0, "pvals": 1.0, "pvals_adj": 1.0}
"""What stands in place of NaN, with which scanpy's plots cannot rank."""


def scanpy_layout(table: pd.DataFrame, groupby: str, reference: str) -> dict[str, Any]:
    """The tests of one modality as scanpy stores its own; groups that were not tested are left out.

    Parameters
    ----------
    table
        See `scmoe.differential._markers.marker_table`.
    groupby, reference
        Column of ``obs``, and what groups were compared with.
    """
    parts = {str(group): rows for group, rows in table.groupby("group", observed=True, sort=False)}
    parts = {group: rows for group, rows in parts.items() if rows["p_value"].notna().any()}
    layout: dict[str, Any] = {
        "params": {
            "groupby": groupby,
            "reference": reference,
            "method": "wilcoxon, stratified",
            "use_raw": False,
            "corr_method": "benjamini-hochberg",
        }
    }
    for field, column in FIELDS.items():
        kind = "U" if field == "names" else "<f8" if field != "scores" else "<f4"
        arrays = {group: rows[column].to_numpy() for group, rows in parts.items()}
        if field in UNTESTED:
            arrays = {group: np.nan_to_num(each, nan=UNTESTED[field]) for group, each in arrays.items()}
        if field == "names":
            # Of objects, as scanpy's are: fixed widths would be those of the longest name.
            kind = "O"
        layout[field] = np.rec.fromarrays(list(arrays.values()), dtype=[(group, kind) for group in arrays])
    return layout
