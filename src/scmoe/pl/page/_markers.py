"""Section: features that are higher in each group of cells."""

import pandas as pd
from mudata import MuData

from scmoe._keys import MARKERS, MARKERS_GROUPBY, Keys
from scmoe.pl.page._section import Section, Table, number, percent

PER_GROUP = 3
"""Features of a group and modality."""
MAX_GROUPS = 60
MIN_AUC = 0.6
"""A feature that tells the group from others less well is no marker."""


def markers_section(mdata: MuData, keys: Keys) -> Section | None:
    """The features that tell each group best; None where `scmoe.tl.markers` was not run."""
    results = mdata.uns[keys.name]
    if MARKERS not in results:
        return None
    table, groupby = pd.DataFrame(results[MARKERS]), str(results.get(MARKERS_GROUPBY, "group"))
    tables = []
    for modality, of_modality in table.groupby(table["modality"].astype(str), sort=False):
        rows = []
        groups = of_modality["group"].astype(str)
        for group in list(pd.unique(groups))[:MAX_GROUPS]:
            best = of_modality[(groups == group).to_numpy() & (of_modality["auc"] >= MIN_AUC).to_numpy()]
            for row in best.nlargest(PER_GROUP, "auc").to_dict("records"):
                shares = [percent(float(row[name])) for name in ("detection_in", "detection_out")]
                rows.append((group, str(row["feature"]), number(row["auc"]), number(row["log_fold_change"]), *shares))
        columns = (groupby, "feature", "AUC", "log2 fold change", "above zero within", "outside")
        tables.append(Table(caption=f"Markers in {modality}, measured values.", columns=columns, rows=rows))
    sentence = (
        "AUC is the probability that a cell of the group is higher than another one of its batch and depth (0.5: no "
        "difference)."
    )
    if groupby == keys.cluster:
        sentence += " The clusters were made from the same values: markers describe them, and prove nothing."
    return Section(name="markers", title="Markers", sentences=[sentence], tables=tables)
