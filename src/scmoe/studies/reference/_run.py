"""`run_reference`: labels of the marrow reference for blood cells of another study."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
from mudata import MuData

from scmoe._keys import UNKNOWN_LABEL
from scmoe._version import __version__
from scmoe.arguments._checked import checks_arguments
from scmoe.benchmark._cells import subset
from scmoe.datasets._bundled import bmmc_cite
from scmoe.datasets._read import read
from scmoe.datasets._reference import reference
from scmoe.io._files import check_writable
from scmoe.metrics._classification import classification_scores
from scmoe.pp._prepare import prepare
from scmoe.studies._run import check_distinct, single_thread, write_result
from scmoe.studies.reference._recipe import GATED, RECIPES, blood_cells, train_reference
from scmoe.studies.reference._report import reference_markdown
from scmoe.studies.reference._rival import logistic_regression
from scmoe.studies.reference._ten_x import write_10x_h5
from scmoe.studies.reference._types import LEVELS, at_level, summed

if TYPE_CHECKING:
    from scmoe.model._scmoe import SCMOE

NAME: Final = "bmmc_cite"
PANELS = {"RNA and proteins": ("rna", "adt"), "RNA": ("rna",), "proteins": ("adt",)}
COVERAGE = 0.9
HIGH = 0.95
SHIPPED, RETRAINED, RIVAL = "scmoe, as it ships", "scmoe, seed {}", "logistic regression"


@checks_arguments
def run_reference(
    output: str | Path,
    *,
    data: str | Path | None = None,
    labels: str | Path | None = None,
    seeds: Sequence[int] = (1, 2),
) -> dict[str, Any]:
    """Label blood cells of another study with the marrow reference, beside logistic regression on the same cells.

    The blood cells are written as a 10x ``.h5`` first, with their antibodies under the vendor's names, and read from
    it, as cells that come from a sequencing center. The regression is fitted to the same reference cells, for the
    features that the query has.

    Parameters
    ----------
    output
        Folder for ``reference.json``, ``reference.md`` and ``query.h5``.
    data
        File of blood cells with genes and antibodies; None: `scmoe.datasets.pbmc10k_cite`.
    labels
        Table with columns ``barcode`` and ``cell_type``, in place of gates on the proteins. Cells that are
        ``"unassigned"`` are left out of scores.
    seeds
        Of further trainings of the reference, which say how much is chance.

    Returns
    -------
    The content of ``reference.json``: ``rows`` and ``settings``.

    Raises
    ------
    ConnectionError
        The cells cannot be downloaded.
    KeyError
        Columns of the table, or proteins that gates need, are missing.

    Examples
    --------
    >>> scmoe.studies.run_reference("scmoe_reference")  # doctest: +SKIP
    """
    folder = check_writable(output)
    check_distinct(list(seeds))
    cells = blood_cells(data, labels)
    write_10x_h5(cells, folder / "query.h5")
    query, truth = read(folder / "query.h5"), cells.obs[GATED].astype(str)
    rows = []
    with single_thread():
        models = {SHIPPED: reference(NAME)}
        for seed in seeds:
            models[RETRAINED.format(seed)] = train_reference(NAME, folder / f"seed{seed}", seed=seed, overwrite=True)
        for panel, modalities in PANELS.items():
            part = subset(query, query.obs_names, list(modalities))
            for method, model in models.items():
                rows += [{"method": method, "panel": panel, **row} for row in model_scores(model, part, truth)]
            probability, names = logistic_regression(bmmc_cite(), part, RECIPES[NAME].labels_key, modalities)
            rows += [{"method": RIVAL, "panel": panel, **row} for row in label_rows(probability, names, truth)]
    settings = {
        "n_cells": len(truth),
        "n_labeled": int((truth != UNKNOWN_LABEL).sum()),
        "labels": "gates on the proteins" if labels is None else Path(labels).name,
        "seeds": list(seeds),
        "coverage": COVERAGE,
        "scmoe": __version__,
    }
    result = {"rows": rows, "settings": settings}
    write_result(folder, "reference", result, reference_markdown(result))
    return result


def model_scores(model: "SCMOE", raw: MuData, truth: pd.Series) -> list[dict[str, Any]]:
    """Scores of a model's labels at each level, of all cells and of those that keep their label."""
    mdata = subset(raw, raw.obs_names, list(raw.mod))
    prepare(mdata, kinds={name: kind for name, kind in model.setup.kinds.items() if name in mdata.mod})
    annotation = model.get_annotation(mdata, coverage=COVERAGE)
    kept = annotation.trust > 1 - COVERAGE
    known = (truth != UNKNOWN_LABEL).to_numpy()
    strange = annotation.unknown_score > HIGH
    shares = {
        "kept": float(kept[known].mean()),
        "strange": float(strange[known].mean()),
        "strange_unassigned": float(strange[~known].mean()) if (~known).any() else None,
    }
    return [row | shares for row in label_rows(annotation.probability, model.setup.labels, truth, kept)]


def label_rows(
    probability: np.ndarray, names: Sequence[str], truth: pd.Series, kept: np.ndarray | None = None
) -> list[dict[str, Any]]:
    """A row for each level, of the cells whose type is known."""
    known, rows = (truth != UNKNOWN_LABEL).to_numpy(), []
    for level in LEVELS:
        values, classes = summed(probability[known], at_level(names, level, is_reference=True))
        own = np.array(at_level(truth[known].tolist(), level, is_reference=False), object)
        predicted = np.array(classes, object)[values.argmax(1)]
        labels = sorted({*classes, *own})
        padded = np.zeros((len(values), len(labels)))
        padded[:, [labels.index(name) for name in classes]] = values
        padded /= padded.sum(1, keepdims=True)  # rounding of single precision
        scores = classification_scores(own, predicted, padded, labels=labels)
        row = {
            "level": level,
            "accuracy": scores.accuracy,
            "balanced_accuracy": scores.balanced_accuracy,
            "worst": f"{scores.worst_label} {scores.worst_recall:.2f}",
            "ece": scores.ece,
            "confidence": float(padded.max(1).mean()),
        }
        if kept is not None and kept[known].any():
            row["accuracy_kept"] = float((own == predicted)[kept[known]].mean())
        rows.append(row)
    return rows
