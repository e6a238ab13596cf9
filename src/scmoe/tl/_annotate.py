"""`annotate`: write predicted labels."""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from mudata import MuData

from scmoe._keys import ANNOTATION, DEFAULT_KEY, UNKNOWN_LABEL, Keys
from scmoe._log import logger
from scmoe.arguments._checked import checks_arguments
from scmoe.datasets._anndata import takes_anndata
from scmoe.metrics._hierarchy import Hierarchy, levels_of, parents_of
from scmoe.readout._hierarchy import roll_up
from scmoe.tl._results import check_results, inputs_of
from scmoe.tl._tables import storable_frame
from scmoe.tl._write import drop_columns, report_others, result_paths, write_obs, write_obsm, write_uns

if TYPE_CHECKING:
    from scmoe.model._results import Results
    from scmoe.model._scmoe import SCMOE


@checks_arguments
@takes_anndata
def annotate(
    mdata: MuData,
    model: "SCMOE",
    *,
    coverage: float = 1.0,
    reject_label: str = UNKNOWN_LABEL,
    hierarchy: Hierarchy | None = None,
    rollup_confidence: float = 0.9,
    key_added: str = DEFAULT_KEY,
) -> None:
    """Label the cells, or decline to.

    Parameters
    ----------
    mdata
        Training data or a query; labels it holds are not looked at.
    model
        A model trained with ``labels_key``.
    coverage
        Share of cells of known types that are to keep their label. Below 1, cells whose label is unsure, or that are
        unlike all known types, get `reject_label`: a cell is trusted as much as the smaller of two shares, that of
        held-out training cells whose label is no surer and that of those at least as strange, and the limit is where
        held-out training cells have this coverage. The query does not move it: of a query with new types, fewer cells
        keep a label.
    reject_label
        Name for cells without a label.
    hierarchy
        A tree of labels: the parent of each label, and of parents, such as ``{"CD4 naive": "T", "CD8 naive": "T", "T":
        "lymphocyte"}``; or a table with a column a level, from coarse to fine, such as ``mdata.obs[["lineage",
        "cell_type"]]`` of labeled cells. Probabilities are summed to parents, so that cells too unsure at the fine
        level get the coarse name.
    rollup_confidence
        With `hierarchy`: the probability that a name must have. Above 0.5.
    key_added
        Name of the results.

    Returns
    -------
    None
        Removes what an earlier call wrote, then writes to ``obs`` of `mdata` and of each modality
        ``"{key_added}_label"`` (categorical),
        ``"{key_added}_label_confidence"`` (the probability of the most probable label, which is not shown where it was
        declined), ``"{key_added}_label_second"`` and ``"{key_added}_label_second_confidence"`` (the second most
        probable), ``"{key_added}_unknown_score"`` (see `scmoe.model.SCMOE.get_unknown_score`), and with `hierarchy`
        ``"{key_added}_label_rollup"`` (the lowest label or parent that reaches `rollup_confidence`; `reject_label`
        where not even a root does), ``"{key_added}_label_rollup_confidence"`` and ``"{key_added}_label_rollup_level"``
        (the column of the table, or the number of steps above the labels); of a model with a `label_weight`,
        ``"{key_added}_supervised_label"`` and ``"{key_added}_supervised_label_confidence"`` by the network's own head
        (see `scmoe.model.SCMOE.predict_supervised`), which declines no cell; to ``obsm`` of both
        ``"{key_added}_label_probability"`` (a frame, cells x labels; ``/`` in a label becomes ``_``); and to
        ``mdata.uns[key_added]["annotation"]`` ``"coverage"``, ``"threshold"`` (of the trust, 1 - coverage),
        ``"achieved_coverage"`` (share of these cells that have a label), ``"expected_accuracy"`` (of cells that have
        one, from held-out training cells at this coverage), ``"reject_label"`` and ``"detection"``, a frame of labels
        with ``auroc``: about 0.5 says that the unknown score cannot tell new types among cells of this label (see
        `scmoe.model.SCMOE.get_unknown_detection`); with `hierarchy` ``"levels"``, a frame with a row a level, the
        finest first: ``n_cells`` with a name of it, ``coverage``, the share of cells with one of it or of a finer
        level, and ``confidence``, the mean probability of these names. `scmoe.metrics.level_accuracy` compares them
        with true labels.

    Raises
    ------
    ValueError
        The model was trained without labels, the data do not fit it, `coverage` or `rollup_confidence` is out of range,
        `reject_label` is a label, `hierarchy` names labels that the model does not know or goes in a circle, or no
        label has two training cells to fix a coverage with.

    Examples
    --------
    >>> scmoe.tl.annotate(mdata, model, coverage=0.9)  # the least sure tenth becomes "Unknown"
    >>> mdata.obs[["scmoe_label", "scmoe_label_confidence"]].shape
    (600, 2)
    """
    check_results(mdata, key_added, Keys(name=key_added).of_annotation(), inputs_of(model.setup, mdata))
    check_reject_label(model.setup.labels, reject_label, hierarchy)
    if hierarchy is not None and model.setup.labels:
        check_hierarchy(model.setup.labels, hierarchy, rollup_confidence)
    model.fitted.labels()
    results = model.get_results(mdata, coverage=coverage, mapping_score=False)
    write_annotation(
        mdata,
        results,
        model.setup.labels,
        model.get_unknown_detection(),
        coverage=coverage,
        reject_label=reject_label,
        hierarchy=hierarchy,
        rollup_confidence=rollup_confidence,
        key_added=key_added,
    )


def check_hierarchy(labels: Sequence[str], hierarchy: Hierarchy, confidence: float) -> None:
    """Raise, before the work, if names could not be taken from a tree."""
    roll_up(np.zeros((0, len(labels))), labels, hierarchy, confidence)


def check_reject_label(labels: Sequence[str], reject_label: str, hierarchy: Hierarchy | None) -> None:
    """Raise if the name of declined cells is none, or means something else."""
    if not reject_label:
        raise ValueError(f"reject_label must be a name for cells without a label; found {reject_label!r}.")
    if reject_label in labels or (hierarchy is not None and reject_label in parents_of(hierarchy).values()):
        where = "a label of the model" if reject_label in labels else "a parent in hierarchy"
        raise ValueError(f"reject_label={reject_label!r} is {where}. Choose another name.")


def write_annotation(
    mdata: MuData,
    results: "Results",
    labels: Sequence[str],
    detection: pd.DataFrame,
    *,
    coverage: float = 1.0,
    reject_label: str = UNKNOWN_LABEL,
    hierarchy: Hierarchy | None = None,
    rollup_confidence: float = 0.9,
    key_added: str = DEFAULT_KEY,
) -> None:
    """Write labels from what a model with labels says of all cells; see `annotate`."""
    keys, annotation = Keys(name=key_added), results.annotation
    assert annotation is not None
    if coverage < 1 and np.isnan(annotation.trust).any():
        raise ValueError(
            "A coverage below 1 needs labels with at least two training cells, to be held out; found none for some "
            "cells. Leave coverage out."
        )
    kept = ~(annotation.trust <= 1 - coverage)
    columns = _labels_of(annotation.probability, kept, labels, reject_label, keys)
    columns[keys.unknown_score] = annotation.unknown_score
    if results.supervised is not None:
        columns[keys.supervised_label] = pd.Categorical.from_codes(results.supervised.argmax(1), labels)
        columns[keys.supervised_label_confidence] = results.supervised.max(1)
    if hierarchy is not None:
        chosen, confidence, names = roll_up(annotation.probability, labels, hierarchy, rollup_confidence)
        columns[keys.label_rollup] = _categorical(chosen, names, reject_label)
        columns[keys.label_rollup_confidence] = confidence
        level = levels_of(labels, hierarchy)
        level_names = list(dict.fromkeys(level.values()))
        codes = np.array([-1 if code < 0 else level_names.index(level[names[code]]) for code in chosen], dtype=int)
        columns[keys.label_rollup_level] = _categorical(codes, level_names, reject_label)
    _drop_labels(mdata, key_added, [*(f"obs/{name}" for name in columns), f"obsm/{keys.label_probability}"])
    write_obs(mdata, key_added, columns)
    write_obsm(mdata, key_added, keys.label_probability, storable_frame(annotation.probability, mdata, labels))
    accuracy = float(annotation.expected_accuracy[kept].mean()) if kept.any() else float("nan")
    record = {
        "coverage": coverage,
        "threshold": 1 - coverage,
        "achieved_coverage": float(kept.mean()),
        "expected_accuracy": accuracy,
        "reject_label": reject_label,
        "detection": detection,
    }
    if hierarchy is not None:
        record["levels"] = _levels_table(codes, confidence, level_names)
    write_uns(mdata, key_added, **{ANNOTATION: record})
    if coverage < 1:
        logger.info(
            "labels: %.0f %% of %d cells (asked for %.0f %% of known types), expected accuracy %.2f",
            100 * kept.mean(),
            len(kept),
            100 * coverage,
            accuracy,
        )


def _drop_labels(mdata: MuData, key_added: str, paths: Collection[str]) -> None:
    """Remove the columns of an earlier call, of which this one, that writes to `paths`, may have fewer."""
    own = set(Keys(name=key_added).of_annotation()) & set(result_paths(mdata, key_added))
    drop_columns(mdata, [path.removeprefix("obs/") for path in own if path.startswith("obs/")])
    report_others(mdata, Keys(name=key_added).of_annotation(), paths)


def _labels_of(
    probability: np.ndarray, kept: np.ndarray, labels: Sequence[str], reject_label: str, keys: Keys
) -> dict[str, object]:
    """Columns of the most and second most probable label."""
    # Stable, so that the first of equals is the best, as for `SCMOE.predict`.
    best, second = np.argsort(-probability, axis=1, kind="stable")[:, :2].T
    cells = np.arange(len(probability))
    return {
        keys.label: _categorical(np.where(kept, best, -1), labels, reject_label),
        keys.label_confidence: probability[cells, best],
        keys.label_second: pd.Categorical.from_codes(second, labels),
        keys.label_second_confidence: probability[cells, second],
    }


def _levels_table(codes: np.ndarray, confidence: np.ndarray, names: Sequence[str]) -> pd.DataFrame:
    """How many cells have a name of each level, and how sure it is."""
    n_cells = np.array([(codes == i).sum() for i in range(len(names))])
    sums = np.array([confidence[codes == i].sum() for i in range(len(names))])
    return pd.DataFrame(
        {
            "level": names,
            "n_cells": n_cells,
            "coverage": n_cells.cumsum() / max(len(codes), 1),
            "confidence": np.divide(sums, n_cells, out=np.full(len(names), np.nan), where=n_cells > 0),
        }
    )


def _categorical(codes: np.ndarray, names: Sequence[str], reject_label: str) -> pd.Categorical:
    """Names by position; -1 is the reject label, which is a category only if a cell has it."""
    if (codes >= 0).all():
        return pd.Categorical.from_codes(codes, names)
    return pd.Categorical.from_codes(np.where(codes < 0, len(names), codes), [*names, reject_label])
