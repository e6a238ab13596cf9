"""`deletion`: write whether the features that a target is attributed to are those that it rests on."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from mudata import MuData
from tqdm.auto import tqdm

from scmoe._keys import DEFAULT_KEY, DELETION, DELETION_SUMMARY
from scmoe.arguments._checked import checks_arguments
from scmoe.data._dataset import MosaicDataset
from scmoe.datasets._anndata import takes_anndata
from scmoe.datasets._categories import Category
from scmoe.explain._attribution import deletion_table
from scmoe.explain._correlation import correlate
from scmoe.model.explain._attribution import MAX_MEMORY, N_STEPS, Method
from scmoe.model.explain._deletion import RANKINGS, SHARES
from scmoe.tl._feature_chunks import feature_chunks
from scmoe.tl._results import check_results, check_trained
from scmoe.tl._targets import resolve_targets
from scmoe.tl._write import write_uns

if TYPE_CHECKING:
    from scmoe.model._scmoe import SCMOE

N_CELLS = 200
"""Cells that a target is tested in; of more, a random subset."""


@checks_arguments
@takes_anndata
def deletion(
    mdata: MuData,
    model: "SCMOE",
    targets: Category | Sequence[Category] | None = None,
    *,
    groupby: str | None = None,
    modality: str | None = None,
    source: str | Sequence[str] | None = None,
    method: Method = "integrated_gradients",
    n_steps: int = N_STEPS,
    n_cells: int = N_CELLS,
    max_memory: float = MAX_MEMORY,
    key_added: str = DEFAULT_KEY,
) -> None:
    """Test attributions: take away what a target is attributed to, and see how far it falls.

    In each cell the features with the largest attributions are set to their means, more and more of them. Beside it
    stand features ranked at random, and features ranked by their correlation with the labels or with the measured
    feature, times the cell's value: what one would do without a model. Attributions are worth something if the target
    falls further than with both.

    Parameters
    ----------
    mdata, model, targets, groupby, modality, source, method, n_steps
        As in `scmoe.tl.attribute`.
    n_cells
        Cells that a target is tested in, chosen at random among its own.
    max_memory
        As in `scmoe.tl.attribute`.
    key_added
        Name of the results.

    Returns
    -------
    None
        Writes ``mdata.uns[key_added]["deletion"]``, a frame with the columns ``target``, ``ranking``
        (``"attribution"``, ``"correlation"``, ``"random"``), ``share`` (of the features, gone), ``value`` of the
        target, ``drop`` and ``drop_se`` (its standard error over cells).

        Also writes ``mdata.uns[key_added]["deletion_summary"]`` with ``target``, ``ranking``, ``area`` (mean drop
        over the shares), ``p_over_attribution`` (one-sided Wilcoxon test, by cell, of whether the area of the
        attributions is larger), the target's ``unit`` and ``n_cells``.

    Raises
    ------
    KeyError
        `groupby` is not a column, or a modality is unknown.
    ValueError
        As `scmoe.tl.attribute`; or a feature that was not measured in these cells, so that there are no correlations.

    Examples
    --------
    >>> scmoe.tl.deletion(mdata, model, "B", n_cells=50)
    >>> mdata.uns["scmoe"]["deletion_summary"]["ranking"].tolist()
    ['attribution', 'correlation', 'random']
    """
    check_trained(model)
    check_results(mdata, key_added)
    entries = resolve_targets(mdata, model, targets, groupby, modality, source, key_added)
    for entry in entries:
        if not np.isfinite(entry.truth).any():
            raise ValueError(
                f"{entry.target.name!r} was not measured in these cells, so there is no correlation to compare with. "
                "Use cells that have it, such as the training data, or leave it out."
            )
    curves, summaries = [], []
    baseline = _correlations(mdata, model, np.stack([entry.truth for entry in entries], axis=1))
    for i, (target, cells, _) in enumerate(tqdm(entries, desc="Deleting", unit="target", disable=len(entries) < 2)):
        slopes = {name: r[:, i] for name, r in baseline.items()}
        values = model.get_deletion(
            target, slopes, mdata, cells[:n_cells].tolist(), method=method, n_steps=n_steps, max_memory=max_memory
        )
        curve, summary = deletion_table(values, RANKINGS, SHARES)
        summary["unit"], summary["n_cells"] = target.unit, len(values)
        for table in (curve, summary):
            table.insert(0, "target", target.name)
        curves.append(curve)
        summaries.append(summary)
    write_uns(
        mdata,
        key_added,
        **{DELETION: pd.concat(curves, ignore_index=True), DELETION_SUMMARY: pd.concat(summaries, ignore_index=True)},
    )


def _correlations(mdata: MuData, model: "SCMOE", truth: np.ndarray) -> dict[str, np.ndarray]:
    """Of each modality (features, targets), over the cells in which the target was measured; 0 where nothing varies."""
    # Most targets were measured in the same cells: these need one pass.
    patterns, pattern = np.unique(np.isfinite(truth), axis=1, return_inverse=True)
    columns = dict.fromkeys(model.modalities, np.nan_to_num(truth))
    chunks = feature_chunks(MosaicDataset(mdata, model.setup))
    correlations = correlate(chunks, columns, [np.where(cells, 0, -1) for cells in patterns.T])
    empty = {name: np.zeros((len(names), truth.shape[1])) for name, names in model.feature_names.items()}
    return empty | {
        name: np.stack([by_pattern[k].r[:, i] for i, k in enumerate(pattern.ravel())], axis=1)
        for name, by_pattern in correlations.items()
    }
