"""`attribute`: write which features make cells what the model says they are."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd
from mudata import MuData
from tqdm.auto import tqdm

from scmoe._keys import ATTRIBUTION, ATTRIBUTION_SUMMARY, DEFAULT_KEY
from scmoe.arguments._checked import checks_arguments
from scmoe.datasets._anndata import takes_anndata
from scmoe.datasets._categories import Category
from scmoe.explain._attribution import attribution_table, modality_shares
from scmoe.model.explain._attribution import MAX_MEMORY, N_STEPS, Method
from scmoe.tl._results import check_results, check_trained
from scmoe.tl._targets import TargetCells, resolve_targets
from scmoe.tl._write import write_uns

if TYPE_CHECKING:
    from scmoe.model._scmoe import SCMOE

N_CELLS = 500
"""Cells that a target is explained in; of more, a random subset."""
N_TOP = 200
"""Features of each modality that are kept for a target."""


@checks_arguments
@takes_anndata
def attribute(
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
    n_top: int | None = N_TOP,
    max_memory: float = MAX_MEMORY,
    key_added: str = DEFAULT_KEY,
) -> None:
    """Tell which features made cells what the model says they are.

    Integrated gradients from the mean training cell to each cell, see `scmoe.model.SCMOE.get_attributions`. Three
    questions:

    - what makes a cell a T cell? ``targets="CD4 T"``: labels of the model, in the cells that its labels' column gives
      them
    - what tells a cluster apart? ``groupby="scmoe_cluster"``: groups in a column, as the embedding tells them apart
    - which genes predict a protein? ``modality="adt", targets=["CD3", "CD19"]``: the prediction from other modalities

    An attribution says what the model used, not what causes what. `scmoe.tl.deletion` tests whether it did use it.

    Parameters
    ----------
    mdata
        Training data or a query.
    model
        A trained model.
    targets
        Labels, groups, or with `modality` features; None: all labels or groups with at least ten cells.
    groupby
        Column of ``mdata.obs`` with groups; None: the labels that the model was trained with. Predicted labels count
        as labels.
    modality
        Modality whose features' predictions are to be explained.
    source
        With `modality`: what they are predicted from; None: all other modalities.
    method, n_steps
        See `scmoe.model.SCMOE.get_attributions`.
    n_cells
        Cells that a target is explained in, chosen at random among its own (all cells for features).
    n_top
        Features of each modality that are kept for a target, those of the largest attributions; None: all.
    max_memory
        Bytes that are taken at most, besides data and model.
    key_added
        Name of the results.

    Returns
    -------
    None
        Writes ``mdata.uns[key_added]["attribution"]``, a frame with the columns

        - ``target``, ``modality``, ``feature``;
        - ``attribution``: mean over the target's cells, in log-odds of the label or in the predicted feature's unit;
        - ``size``: mean of its absolute value;
        - ``slope``: change of the target for one standard deviation more of the feature;
        - ``level``: mean of the feature in these cells, in standard deviations from the mean of training cells;
        - ``rank`` by size;

        and ``mdata.uns[key_added]["attribution_summary"]`` with the columns

        - ``target``, ``unit``, ``modality``;
        - ``attribution``: sum over all features, also those not in the table;
        - ``share`` of their sizes;
        - ``value`` and ``baseline``: the target in these cells and in the mean cell;
        - ``explained``: how much of their difference, cell by cell, the attributions add up to; 1 if nothing is lost
          where the choice of experts changes;
        - ``agreement``: how well the groups can be told apart; 1 for labels and features;
        - ``n_cells``.

    Raises
    ------
    KeyError
        `groupby` is not a column, or a modality is unknown.
    ValueError
        Labels or cells are missing, a target is unknown, or the data do not fit the model.

    Examples
    --------
    >>> scmoe.tl.attribute(mdata, model, "B")  # what makes a cell a B cell
    >>> scmoe.tl.attribute(mdata, model, ["CD3", "CD19"], modality="adt", key_added="proteins")
    >>> list(mdata.uns["proteins"]["attribution"]["target"].unique())
    ['CD3', 'CD19']
    """
    check_trained(model)
    check_results(mdata, key_added)
    entries = resolve_targets(mdata, model, targets, groupby, modality, source, key_added)
    tables, summaries = [], []
    for entry in tqdm(entries, desc="Attributing", unit="target", disable=len(entries) < 2):
        table, summary = _explain(mdata, model, entry, method, n_steps, n_cells, n_top, max_memory)
        tables.append(table)
        summaries.append(summary)
    write_uns(
        mdata,
        key_added,
        **{
            ATTRIBUTION: pd.concat(tables, ignore_index=True),
            ATTRIBUTION_SUMMARY: pd.concat(summaries, ignore_index=True),
        },
    )


def _explain(
    mdata: MuData,
    model: "SCMOE",
    entry: TargetCells,
    method: Method,
    n_steps: int,
    n_cells: int,
    n_top: int | None,
    max_memory: float,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    target = entry.target
    mean = model.get_mean_attributions(
        target, mdata, entry.cells[:n_cells].tolist(), method=method, n_steps=n_steps, max_memory=max_memory
    )
    indices = range(len(model.modalities)) if target.shown is None else target.shown
    names = [model.modalities[v] for v in indices]
    signed, absolute, slope, level = ({name: part[name] for name in names} for part in mean[:4])
    features = {name: model.feature_names[name] for name in names}
    table = attribution_table(signed, absolute, slope, features, level=level, n_top=n_top)
    table.insert(0, "target", target.name)
    summary = modality_shares(signed, absolute)
    summary.insert(0, "target", target.name)
    summary.insert(1, "unit", target.unit)
    for name in ("value", "baseline", "explained"):
        summary[name] = getattr(mean, name)
    summary["agreement"], summary["n_cells"] = target.agreement, mean.n_cells
    return table, summary
