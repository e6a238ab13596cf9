"""Figures of the pretraining studies."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scmoe.io._files import check_writable
from scmoe.studies._report import OTHER, OURS, DotRow, Results, dot_figure
from scmoe.studies._statistics import in_order
from scmoe.studies.genes._claims import ACCURACY, ARI, F1, MSE, NONZERO, SWEPT, UNSEEN
from scmoe.studies.genes._curves import masking_figure, sparsity_figure
from scmoe.studies.genes._lookup import by_seed, cell_conditions, curves, of_screen, of_variant
from scmoe.studies.genes._masked import REFERENCES, RIDGE
from scmoe.studies.genes._plan import (
    BASE,
    BASELINES,
    EXPERTS,
    FOLDS,
    HELD_OUT,
    OF_STUDY,
    RATES,
    SCREEN,
    SWEEP,
    TOKENIZERS,
    VALUES,
    rate_name,
)
from scmoe.studies.genes._tables import LABELERS, MODEL
from scmoe.studies.genes._tasks import PCA, PRETRAINED, REGRESSION, TUNED


def figures(table: Mapping[str, Any], folder: Path) -> None:
    """Write a figure for every study that there are results of.

    Parameters
    ----------
    table
        What `scmoe.studies.run_genes` returns.
    folder
        Where to.
    """
    target, results = check_writable(folder), table["results"]
    makers = {
        "genes_pretraining": pretraining_panels,
        "genes_annotation": annotation_panels,
        "genes_values": lambda r: setting_panels(r, VALUES),
        "genes_experts": lambda r: setting_panels(r, EXPERTS),
        "genes_tokenizers": tokenizer_panels,
        "genes_perturbation": screen_panels,
    }
    for name, make in makers.items():
        panels = {title: [row for row in rows if row[1]] for title, rows in make(results).items()}
        if panels := {title: rows for title, rows in panels.items() if rows}:
            dot_figure(panels, target / f"{name}.png")
    if of_variant(results, rate_name(RATES[0]), *SWEPT[F1]):
        masking_figure(results, target / "genes_masking.png")
    if any(curves(result, MODEL) for result in results):
        sparsity_figure(results, target / "genes_sparsity.png")


def pretraining_panels(results: Results) -> dict[str, list[DotRow]]:
    """Errors at masked genes of the model and of what has no network."""
    heads = {"mse": "MSE, all masked genes", "mse_nonzero": "MSE, expressed genes", "mse_zero": "MSE, zeros"}
    return {
        head: [
            (name, in_order(by_seed(results, HELD_OUT, "masked", name, score)), OURS if name == MODEL else OTHER)
            for name in (MODEL, *REFERENCES)
        ]
        for score, head in heads.items()
    }


def annotation_panels(results: Results) -> dict[str, list[DotRow]]:
    """Macro-F1 of every way to labels, for every source."""
    panels: dict[str, list[DotRow]] = {}
    for kind, part in ((HELD_OUT, "labels"), (FOLDS, "all")):
        for source in dict.fromkeys(r["source"] for r in results if r["kind"] == kind):
            how = "one fold a seed, strict" if kind == HELD_OUT else "five folds, pretrained on all cells"
            panels[f"{source}: macro-F1\n({how})"] = [
                (
                    name,
                    in_order(by_seed(results, kind, part, name, "macro_f1", source=source)),
                    OURS if name == PRETRAINED or name in TUNED.values() else OTHER,
                )
                for name in LABELERS
            ]
    return panels


def setting_panels(results: Results, study: str) -> dict[str, list[DotRow]]:
    """Scores of the settings of a study, with PCA or ridge for comparison."""
    references = {
        F1: (PCA, "labels"),
        ACCURACY: (PCA, "labels"),
        ARI: (PCA, "clusters"),
        MSE: (RIDGE, "masked"),
        NONZERO: (RIDGE, "masked"),
    }
    panels = {}
    for score, path in SWEPT.items():
        name, where = references[score]
        rows: list[DotRow] = [(s, in_order(of_variant(results, s, *path)), OURS) for s in OF_STUDY[study]]
        if any(values for _, values, _ in rows):
            reference = in_order(by_seed(results, BASELINES, where, name, path[-1]))
            panels[score] = [*rows, ("PCA or ridge", reference, OTHER)]
    return panels


def tokenizer_panels(results: Results) -> dict[str, list[DotRow]]:
    """Macro-F1 of the fine-tuned tokenizers in cells as they are and with less to read."""

    def f1(kind: str, method: str, condition: str, variant: str = BASE) -> list[float]:
        return in_order(by_seed(results, kind, "sensitivity", method, condition, "macro_f1", variant=variant))

    return {
        f"macro-F1,\n{condition}": [
            *((name, f1(SWEEP, TUNED["all"], condition, name), OURS) for name in OF_STUDY[TOKENIZERS]),
            *((name, f1(BASELINES, name, condition), OTHER) for name in (REGRESSION, PCA)),
        ]
        for condition in cell_conditions(results, BASELINES, PCA)
    }


def screen_panels(results: Results) -> dict[str, list[DotRow]]:
    """Scores of predictions for knock-outs of genes that were never knocked out before."""
    methods = dict.fromkeys(
        row["method"] for r in results if r["kind"] == SCREEN for row in r["rows"] if row["setting"] == UNSEEN
    )
    heads = {"mse": "MSE, all genes", "mse_top": "MSE, top 20 genes", "pearson_top": "Pearson, top 20 genes"}
    ours = {"ridge, identities", "ridge, gene context"}
    return {
        head: [
            (name, in_order(of_screen(results, name, UNSEEN, score)), OURS if name in ours else OTHER)
            for name in methods
        ]
        for score, head in heads.items()
    }
