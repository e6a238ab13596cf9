"""Whether the paper's claims hold in what was measured: differences with intervals over seeds."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from scmoe.studies._statistics import mean_interval
from scmoe.studies.explain._conflict import COMPUTE, EXPERTS, PARAMETERS
from scmoe.studies.explain._conflict_report import HEADS
from scmoe.studies.replicate._data import GRN
from scmoe.studies.replicate._forms import ABLATIONS, DENSE, FORMS, OURS, REFERENCE
from scmoe.studies.replicate._plan import ALL_FOUR, CONFLICT, FIT, GRN_SETS, MOFA, PCA, RIDGE, TOTALVI, WNN
from scmoe.studies.replicate._scores import Matrix, off_diagonal_mean
from scmoe.studies.replicate._tables import LABELS

HOLDS, FAILS, OPEN = "holds", "does not hold", "not decided"
ARI, KMEANS_ARI = "ARI", "ARI, k-means for both"
HONEST, LEAKY, LEAKY_UPPER = "honest R²", "leaky R²", "leaky R², upper triangle"
PAPER_R2 = dict(zip(GRN_SETS, (0.41, 0.90, 0.67, 0.62), strict=True))
"""Table 2 of the paper, scMoE, by set of modalities."""
Results = Sequence[Mapping[str, Any]]


def fold_value(fold: Mapping[str, Any], score: str) -> float | None:
    """A score of one fold."""
    if score in (ARI, KMEANS_ARI):
        return fold.get("ari" if score == ARI else "kmeans_ari")
    matrix: Matrix | None = fold.get("honest" if score == HONEST else "leaky")
    return None if matrix is None else off_diagonal_mean(matrix, upper=score == LEAKY_UPPER)


def by_seed(
    results: Results, method: str, modalities: Sequence[str], score: str, n_folds: int | None = None
) -> dict[int, float]:
    """Seed to mean over the first `n_folds` folds on the simulation."""
    found: dict[int, float] = {}
    for result in results:
        place = result["study"], result["source"], result["method"], tuple(result["modalities"])
        if place != (FIT, GRN, method, tuple(modalities)):
            continue
        values = [fold_value(fold, score) for fold in result["folds"][:n_folds]]
        known = [value for value in values if value is not None]
        if known:
            found[result["seed"]] = float(np.mean(known))
    return found


def paired(first: Mapping[int, float], second: Mapping[int, float]) -> list[float]:
    """Differences of the seeds that both have."""
    return [first[seed] - second[seed] for seed in sorted(first.keys() & second.keys())]


def mean_differences(pairs: Sequence[tuple[Mapping[int, float], ...]]) -> list[float]:
    """Differences of the seeds that both have, mean over the sets of modalities in which both have any."""
    per_set = [{seed: a[seed] - b[seed] for seed in a.keys() & b.keys()} for a, b in pairs]
    known = [each for each in per_set if each]
    seeds = set.intersection(*map(set, known)) if known else set()
    return [float(np.mean([each[seed] for each in known])) for seed in sorted(seeds)]


def verdict(differences: Sequence[float]) -> str:
    """What the 95 % interval (Student's t) of a difference that is claimed to be positive says."""
    _, interval = mean_interval(np.asarray(differences))
    if interval is None or interval[0] <= 0 <= interval[1]:
        return OPEN
    return HOLDS if interval[0] > 0 else FAILS


def line(claim: str, form: str, what: str, score: str, differences: Sequence[float]) -> dict[str, Any]:
    """One row of the verdicts."""
    mean, interval = mean_interval(np.asarray(differences))
    return {
        "claim": claim,
        "form": form,
        "comparison": what,
        "score": score,
        "difference": mean,
        "interval": interval,
        "n_seeds": len(differences),
        "verdict": verdict(differences),
    }


def find_verdicts(results: Results) -> list[dict[str, Any]]:
    """All claims that there are results for."""
    makers: list[Callable[[Results], list[dict[str, Any]]]] = [
        modality_claims,
        dense_claims,
        setting_claims,
        method_claims,
        r2_claims,
        gradient_claims,
    ]
    return [row for make in makers for row in make(results)]


def modality_claims(results: Results) -> list[dict[str, Any]]:
    """All four modalities against the mean of the pairs."""
    rows = []
    for form in (REFERENCE, OURS, PCA):
        whole, *pairs = (by_seed(results, form, each, ARI) for each in (ALL_FOUR, *GRN_SETS[:-1]))
        seeds = set.intersection(*map(set, pairs))
        mean = {seed: float(np.mean([pair[seed] for pair in pairs])) for seed in seeds}
        if differences := paired(whole, mean):
            rows.append(line("More modalities help", form, "all four minus mean of the pairs", ARI, differences))
    return rows


def dense_claims(results: Results) -> list[dict[str, Any]]:
    """Experts against dense layers, over the sets of modalities of the ablation."""
    return _changed(results, "Sparse experts beat a dense layer", list(DENSE), (ARI, HONEST, LEAKY))


def setting_claims(results: Results) -> list[dict[str, Any]]:
    """The base against each other change of Table 3."""
    rows = []
    for base, variants in ABLATIONS.items():
        names = [name.removeprefix(f"{base}: ") for name in variants]
        others = [name for name in names if name not in DENSE]
        rows += _changed(results, "The base beats its variants (Table 3)", others, (ARI,), [base])
    return rows


def _changed(
    results: Results, claim: str, names: Sequence[str], scores: Sequence[str], bases: Sequence[str] = (REFERENCE, OURS)
) -> list[dict[str, Any]]:
    rows = []
    for base in bases:
        for name in names:
            for score in scores:
                if differences := ablation_differences(results, base, f"{base}: {name}", score):
                    rows.append(line(claim, base, f"minus {name}", score, differences))
    return rows


def ablation_differences(results: Results, base: str, variant: str, score: str) -> list[float]:
    """Base minus variant in the folds that the variant has, by seed, mean over sets of modalities."""
    return mean_differences(
        [tuple(by_seed(results, each, s, score, n_folds=1) for each in (base, variant)) for s in GRN_SETS]
    )


def method_claims(results: Results) -> list[dict[str, Any]]:
    """Forms of scMoE against other methods, over the sets of modalities that both have."""
    rows = []
    for form in (REFERENCE, OURS):
        scores = (ARI, KMEANS_ARI) if FORMS[form].published else (ARI,)
        asked = [(score, other) for score in scores for other in (PCA, WNN, MOFA, TOTALVI)] + [(HONEST, RIDGE)]
        for score, other in asked:
            both = [tuple(by_seed(results, each, s, score) for each in (form, other)) for s in GRN_SETS]
            if differences := mean_differences(both):
                what = f"minus {LABELS[other].removesuffix(' *')}"
                rows.append(line("scMoE beats other methods", form, what, score, differences))
    return rows


def r2_claims(results: Results) -> list[dict[str, Any]]:
    """Leaky R² against what the paper reports, and leaky against honest."""
    rows = []
    for form in (REFERENCE, OURS):
        for modalities, reported in PAPER_R2.items():
            found = by_seed(results, form, modalities, LEAKY_UPPER)
            if found:
                what = f"{' + '.join(modalities)}: minus {reported:.2f} of the paper"
                differences = [value - reported for value in found.values()]
                rows.append(line("R² is .41 to .90", form, what, LEAKY_UPPER, differences))
        both = [tuple(by_seed(results, form, s, score) for score in (LEAKY, HONEST)) for s in GRN_SETS]
        if differences := mean_differences(both):
            claim = "Leaky R² is above honest R² (ours, not the paper's)"
            rows.append(line(claim, form, "leaky minus honest", "R²", differences))
    return rows


def gradient_claims(results: Results) -> list[dict[str, Any]]:
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
                if differences := paired(first, second):
                    what = f"experts minus {dense}, gradients by {definition}"
                    rows.append(line("Gradients agree more on sparse experts", form, what, "cosine", differences))
    return rows


def _cosines(rows: Results, model: str, definition: str) -> dict[int, float]:
    mine = [row for row in rows if (row["model"], row["definition"]) == (model, definition)]
    seeds = {row["seed"] for row in mine}
    return {seed: float(np.mean([row["cosine"] for row in mine if row["seed"] == seed])) for seed in seeds}
