"""Section: how well new cells fit the model."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from mudata import MuData

from scmoe._keys import QUERY, Keys
from scmoe.pl._axes import axes_or_new
from scmoe.pl.page._section import Picture, Section, Table, count, listed, number, percent, picture

LOW_SCORE, MANY_LOW = 0.05, 0.2
"""A mapping score that a twentieth of the training cells is below; the share of such cells worth a warning."""
FEW_FEATURES = 0.5
"""Share of a modality's features below which its part of the model is hardly used."""


def query_section(mdata: MuData, keys: Keys) -> Section | None:
    """Features that were there, new batches, mapping scores; None unless the cells were mapped."""
    query: Mapping[str, Any] | None = mdata.uns[keys.name].get(QUERY)
    if query is None:
        return None
    features = pd.DataFrame(query["features"])
    rows, warnings = [], []
    for name, found, known in features[["modality", "n_found", "n_model"]].itertuples(index=False):
        rows.append((str(name), f"{count(found)} of {count(known)}"))
        if found < FEW_FEATURES * known:
            warnings.append(f"Of {name}, only {percent(found / known)} of the model's features are in these data.")
    sentences = []
    absent = [str(name) for name in np.atleast_1d(query.get("absent_modalities", []))]
    if absent:
        sentences.append(f"Modalities of the model that these cells lack: {listed(absent)}.")
    batches = [str(name) for name in np.atleast_1d(query.get("new_batches", []))]
    if batches:
        sentences.append(f"Batches that the model does not know: {listed(batches)}.")
    pictures = []
    score = mdata.obs.get(keys.mapping_score, pd.Series(dtype=float)).astype(float).to_numpy()
    if np.isfinite(score).any():
        low = float((score < LOW_SCORE).mean())
        sentences.append(
            f"Median mapping score {number(float(np.nanmedian(score)))}. It is uniform from 0 to 1 for cells like the "
            "training cells, and low for others."
        )
        if low > MANY_LOW:
            warnings.append(
                f"{percent(low)} of the cells fit the model badly (mapping score below {LOW_SCORE}): another tissue, "
                "protocol or panel, or types that the model has not seen. Trust neither labels nor predictions there."
            )
        pictures.append(_histogram(score[np.isfinite(score)]))
    table = Table(caption="Features found.", columns=("modality", "features of the model"), rows=rows)
    return Section(
        name="query",
        title="Fit of the query",
        sentences=sentences,
        warnings=warnings,
        tables=[table],
        pictures=pictures,
    )


def _histogram(score: np.ndarray) -> Picture:
    ax = axes_or_new(None, 5, 2.4)
    ax.hist(score, bins=20, range=(0, 1), color="0.35")
    ax.axhline(len(score) / 20, color="C1", linewidth=1, label="cells like the training cells")
    ax.set(xlabel="mapping score", ylabel="cells", xlim=(0, 1))
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False, fontsize="small")
    return picture(ax, "Histogram of mapping scores")
