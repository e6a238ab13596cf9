"""Sections: clusters and labels."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from mudata import MuData

from scmoe._keys import ANNOTATION, Keys
from scmoe.pl.page._section import Section, Table, count, number, percent

MAX_ROWS = 60
MANY_DECLINED = 0.3
"""Share of declined cells that is worth a warning."""


def clusters_section(mdata: MuData, keys: Keys, labels: str | None) -> Section | None:
    """Sizes of clusters, and which label most of their cells have; None without clusters.

    Parameters
    ----------
    mdata, keys
        The data, and where their results are.
    labels
        Column to compare clusters with: true labels, or predicted ones.
    """
    if keys.cluster not in mdata.obs:
        return None
    cluster = mdata.obs[keys.cluster].astype(str)
    rows = []
    for name, size in cluster.value_counts().items():
        row = [str(name), count(size), percent(size / mdata.n_obs)]
        if labels is not None:
            row += _most_frequent(mdata.obs[labels][(cluster == name).to_numpy()])
        rows.append(row)
    columns = ["cluster", "cells", "share", *([f"most frequent {labels}", "share of the cluster"] if labels else [])]
    table = Table(caption="Clusters of the joint embedding.", columns=columns, rows=rows[:MAX_ROWS])
    sentence = f"{len(rows)} clusters, in the column {keys.cluster}."
    return Section(name="clusters", title="Clusters", sentences=[sentence], tables=[table])


def _most_frequent(values: pd.Series) -> list[str]:
    sizes = values.dropna().astype(str).value_counts()
    return [str(sizes.index[0]), percent(sizes.iloc[0] / len(values))] if len(sizes) else ["", "–"]


def labels_section(mdata: MuData, keys: Keys) -> Section | None:
    """How many cells have which label, how sure, and how many were declined; None without labels."""
    if keys.label not in mdata.obs:
        return None
    annotation: Mapping[str, Any] = mdata.uns[keys.name].get(ANNOTATION, {})
    label, confidence = mdata.obs[keys.label].astype(str), mdata.obs[keys.label_confidence].astype(float)
    reject = str(annotation.get("reject_label", ""))
    declined = (label == reject).to_numpy()
    sentences = [f"Labels are in the column {keys.label}; {percent(1 - declined.mean())} of the cells have one."]
    if np.isfinite(accuracy := float(annotation.get("expected_accuracy", np.nan))):
        sentences.append(
            f"Expected accuracy of these, from training cells that were held out: {percent(accuracy)}. It holds for "
            "cells like the training cells."
        )
    warnings = []
    if declined.mean() > MANY_DECLINED:
        warnings.append(
            f"{percent(declined.mean())} of the cells were given no label: types that the model does not know, or "
            "cells of low quality. Look at them on the map."
        )
    rows = []
    for name, size in label.value_counts().items():
        own = confidence[(label == name).to_numpy()]
        rows.append((str(name), count(size), percent(size / len(label)), number(own.mean()), number(own.quantile(0.1))))
    table = Table(
        caption="Labels and how sure they are (probabilities; a tenth of the cells is below the last column).",
        columns=("label", "cells", "share", "mean confidence", "lowest tenth"),
        rows=rows[:MAX_ROWS],
    )
    return Section(name="labels", title="Labels", sentences=sentences, warnings=warnings, tables=[table])
