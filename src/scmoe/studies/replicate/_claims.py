"""Whether the paper's claims hold in what was measured: differences with intervals over seeds."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from scmoe.studies._report import Results, Row, verdict_row
from scmoe.studies._statistics import BySeed, differences, in_order, mean_over, paired
from scmoe.studies.explain._conflict import COMPUTE, EXPERTS, PARAMETERS
from scmoe.studies.explain._conflict_report import HEADS
from scmoe.studies.replicate._data import GRN
from scmoe.studies.replicate._forms import ABLATIONS, DENSE, FORMS, IDENTIFICATION, OURS, PREDICTION, REFERENCE
from scmoe.studies.replicate._plan import (
    ALL_FOUR,
    CONFLICT,
    FIT,
    GRN_SETS,
    MOFA,
    PCA,
    RIDGE,
    SCHEMA,
    TOTALVI,
    UNITEDNET,
    WNN,
)
from scmoe.studies.replicate._scores import Matrix, off_diagonal_mean
from scmoe.studies.replicate._tables import LABELS

ARI, KMEANS_ARI = "ARI", "ARI, k-means for both"
HONEST, LEAKY, LEAKY_UPPER = "honest R²", "leaky R²", "leaky R², upper triangle"
PAPER_R2 = dict(zip(GRN_SETS, (0.41, 0.90, 0.67, 0.62), strict=True))
"""Table 2 of the paper, scMoE, by set of modalities."""


def fold_value(fold: Mapping[str, Any], score: str) -> float | None:
    """A score of one fold."""
    if score in (ARI, KMEANS_ARI):
        return fold.get("ari" if score == ARI else "kmeans_ari")
    matrix: Matrix | None = fold.get("honest" if score == HONEST else "leaky")
    return None if matrix is None else off_diagonal_mean(matrix, upper=score == LEAKY_UPPER)


def by_seed(results: Results, method: str, modalities: Sequence[str], score: str, n_folds: int | None = None) -> BySeed:
    """Seed to mean over the first `n_folds` folds on the simulation."""
    scores: BySeed = {}
    for result in results:
        case = result["study"], result["source"], result["method"], tuple(result["modalities"])
        if case != (FIT, GRN, method, tuple(modalities)):
            continue
        values = [fold_value(fold, score) for fold in result["folds"][:n_folds]]
        known = [value for value in values if value is not None]
        if known:
            scores[result["seed"]] = float(np.mean(known))
    return scores


def mean_differences(pairs: Sequence[tuple[BySeed, BySeed]]) -> list[float]:
    """Differences of the seeds that both have, mean over the sets of modalities in which both have any."""
    of_sets = [paired(*pair) for pair in pairs]
    return in_order(mean_over([of_set for of_set in of_sets if of_set]))


def claim_row(claim: str, form: str, comparison: str, score: str, sample: Sequence[float]) -> Row:
    """One row of the verdicts."""
    return verdict_row({"claim": claim, "form": form, "comparison": comparison, "score": score}, sample)


def claims(results: Results) -> list[Row]:
    """All claims that there are results for."""
    makers: list[Callable[[Results], list[Row]]] = [
        modality_claims,
        dense_claims,
        setting_claims,
        task_claims,
        method_claims,
        r2_claims,
        gradient_claims,
    ]
    return [row for make in makers for row in make(results)]


def modality_claims(results: Results) -> list[Row]:
    """All four modalities against the mean of the pairs."""
    rows = []
    for form in (REFERENCE, OURS, PCA):
        whole, *pairs = (by_seed(results, form, modalities, ARI) for modalities in (ALL_FOUR, *GRN_SETS[:-1]))
        if sample := differences(whole, mean_over(pairs)):
            rows.append(claim_row("More modalities help", form, "all four minus mean of the pairs", ARI, sample))
    return rows


def dense_claims(results: Results) -> list[Row]:
    """Experts against dense layers, over the sets of modalities of the ablation."""
    return _changed(results, "Sparse experts beat a dense layer", list(DENSE), (ARI, HONEST, LEAKY))


def setting_claims(results: Results) -> list[Row]:
    """The base against each other change of Table 3."""
    rows = []
    for base, variants in ABLATIONS.items():
        names = [name.removeprefix(f"{base}: ") for name in variants]
        others = [name for name in names if name not in DENSE]
        rows += _changed(results, "The base beats its variants (Table 3)", others, (ARI,), [base])
    return rows


def _changed(
    results: Results, claim: str, names: Sequence[str], scores: Sequence[str], bases: Sequence[str] = (REFERENCE, OURS)
) -> list[Row]:
    rows = []
    for base in bases:
        for name in names:
            for score in scores:
                if sample := ablation_differences(results, base, f"{base}: {name}", score):
                    rows.append(claim_row(claim, base, f"minus {name}", score, sample))
    return rows


def ablation_differences(results: Results, base: str, variant: str, score: str) -> list[float]:
    """Base minus variant in the folds that the variant has, by seed, mean over sets of modalities."""
    pairs = [
        (by_seed(results, base, modalities, score, n_folds=1), by_seed(results, variant, modalities, score, n_folds=1))
        for modalities in GRN_SETS
    ]
    return mean_differences(pairs)


def task_claims(results: Results) -> list[Row]:
    """The reference form against the same with one task, over the sets of modalities that both have."""
    rows = []
    for other, scores in ((IDENTIFICATION, (ARI, KMEANS_ARI, LEAKY)), (PREDICTION, (KMEANS_ARI, HONEST, LEAKY))):
        for score in scores:
            pairs = [(by_seed(results, REFERENCE, s, score), by_seed(results, other, s, score)) for s in GRN_SETS]
            if sample := mean_differences(pairs):
                rows.append(claim_row("Two tasks help each other", REFERENCE, f"minus {other} only", score, sample))
    return rows


def method_claims(results: Results) -> list[Row]:
    """Forms of scMoE against other methods, over the sets of modalities that both have."""
    rows = []
    for form in (REFERENCE, OURS):
        scores = (ARI, KMEANS_ARI) if FORMS[form].published else (ARI,)
        cases = [(score, other) for score in scores for other in (PCA, UNITEDNET, SCHEMA, WNN, MOFA, TOTALVI)]
        cases += [(HONEST, other) for other in (RIDGE, UNITEDNET)]
        for score, other in cases:
            pairs = [(by_seed(results, form, s, score), by_seed(results, other, s, score)) for s in GRN_SETS]
            if sample := mean_differences(pairs):
                comparison = f"minus {LABELS[other].removesuffix(' *')}"
                rows.append(claim_row("scMoE beats other methods", form, comparison, score, sample))
    return rows


def r2_claims(results: Results) -> list[Row]:
    """Leaky R² against what the paper reports, and leaky against honest."""
    rows = []
    for form in (REFERENCE, OURS):
        for modalities, reported in PAPER_R2.items():
            sample = [value - reported for value in by_seed(results, form, modalities, LEAKY_UPPER).values()]
            if sample:
                comparison = f"{' + '.join(modalities)}: minus {reported:.2f} of the paper"
                rows.append(claim_row("R² is .41 to .90", form, comparison, LEAKY_UPPER, sample))
        pairs = [(by_seed(results, form, s, LEAKY), by_seed(results, form, s, HONEST)) for s in GRN_SETS]
        if sample := mean_differences(pairs):
            claim = "Leaky R² is above honest R² (ours, not the paper's)"
            rows.append(claim_row(claim, form, "leaky minus honest", "R²", sample))
    return rows


def gradient_claims(results: Results) -> list[Row]:
    """Cosines of the modalities' gradients on experts against dense layers (Figure 1b)."""
    rows = []
    for form in (REFERENCE, OURS):
        measured = [
            row
            for result in results
            if (result["study"], result["method"]) == (CONFLICT, form)
            for row in result["rows"]
        ]
        for definition in (name for name in HEADS if name != "task"):
            for dense in (COMPUTE, PARAMETERS):
                first, second = (_cosines(measured, model, definition) for model in (EXPERTS, dense))
                if sample := differences(first, second):
                    comparison = f"experts minus {dense}, gradients by {definition}"
                    rows.append(claim_row("Gradients agree more on sparse experts", form, comparison, "cosine", sample))
    return rows


def _cosines(rows: Results, model: str, definition: str) -> BySeed:
    subset = [row for row in rows if (row["model"], row["definition"]) == (model, definition)]
    seeds = {row["seed"] for row in subset}
    return {seed: float(np.mean([row["cosine"] for row in subset if row["seed"] == seed])) for seed in seeds}
