"""The hypotheses of the study, and what was measured of them."""

from collections.abc import Iterator
from itertools import chain

import numpy as np

from scmoe.explain.concepts._adjust import holm
from scmoe.losses._class_balance import DEFAULT_BALANCE
from scmoe.studies._report import Results, Row, verdict_row
from scmoe.studies._statistics import BySeed, differences, mean_over
from scmoe.studies.imbalance._plan import ANNOTATOR, NONE, OVER, STUDY, TOKENIZERS, UNDER_MIN, UNDER_T

MARGIN = 0.02
"""Differences within it count as none."""
BAR, COST = 0.03, 0.01
"""What balancing should add to macro-F1 and tail recall, and may cost in accuracy."""
BASELINE, BELOW = "balanced logistic regression", 0.01
MAIN = "main"
MACRO, TAIL = "macro_f1", "tail_f1"
Claim = tuple[str, str, str, bool, list[float]]
"""Claim, comparison and score; whether the difference should be none, or else positive; and its value for each seed."""


def of_study(results: Results, tokenizer: str, treatment: str, score: str, rho: float | str = MAIN) -> BySeed:
    """Seed to score; `rho` may be the factor at which all treatments are compared."""
    return {
        result["seed"]: row[score]
        for result in results
        if (result["kind"], result["case"]) == (STUDY, tokenizer)
        for row in result["rows"]
        if row["treatment"] == treatment
        and (row["main"] if rho == MAIN else row["rho"] == rho)
        and row[score] is not None
    }


def over_tokenizers(results: Results, treatment: str, score: str) -> BySeed:
    """Mean over all tokenizers, of the seeds that all of them have."""
    return mean_over([of_study(results, name, treatment, score) for name in TOKENIZERS])


def of_annotator(results: Results, case: str, method: str, score: str) -> BySeed:
    """Seed to score of a method."""
    return {
        result["seed"]: row[score]
        for result in results
        if (result["kind"], result["case"]) == (ANNOTATOR, case)
        for row in result["rows"]
        if row["method"] == method and row[score] is not None
    }


def rhos_of(results: Results) -> list[float]:
    """The factors that every seed has."""
    factors = [{row["rho"] for row in result["rows"]} for result in results if result["kind"] == STUDY]
    return sorted(set.intersection(*factors)) if factors else []


def claims(results: Results) -> list[Row]:
    """A row for each comparison that there are results for, with p-values corrected for their number (Holm)."""
    rows = []
    for claim, comparison, score, is_equivalence, sample in chain(hypotheses(results), annotator_claims(results)):
        if sample:
            labels = {"claim": claim, "comparison": comparison, "score": score}
            rows.append(verdict_row(labels, sample, margin=MARGIN if is_equivalence else None, test=True))
    for row, corrected in zip(rows, holm(np.array([row["p"] for row in rows])).tolist(), strict=True):
        row["p_holm"] = corrected
    return rows


def hypotheses(results: Results) -> Iterator[Claim]:
    """H1 to H5; a difference that should be positive, or (True) none larger than `MARGIN`."""
    rhos = rhos_of(results)
    for name in TOKENIZERS if len(rhos) > 1 else ():
        low, high = (of_study(results, name, NONE, TAIL, rho) for rho in (rhos[0], rhos[-1]))
        what = f"{name}: factor {rhos[0]:g} minus {rhos[-1]:g}"
        yield "H1: F1 of rare labels falls with imbalance", what, TAIL, False, differences(low, high)
    none = over_tokenizers(results, NONE, MACRO)
    for name in TOKENIZERS:
        pair = (of_study(results, name, treatment, MACRO) for treatment in (OVER, NONE))
        yield "H2: oversampling helps", name, MACRO, False, differences(*pair)
    pairs = (
        ("H2: oversampling helps", OVER, False, 1),
        ("H3: undersampling to the rarest label hurts", UNDER_MIN, False, -1),
        ("H3: undersampling to T changes nothing", UNDER_T, True, 1),
    )
    for claim, treatment, equal, sign in pairs:
        sample = differences(over_tokenizers(results, treatment, MACRO), none)
        yield claim, "mean over tokenizers", MACRO, equal, [sign * value for value in sample]
    weighted, copied = (over_tokenizers(results, treatment, MACRO) for treatment in ("inverse", OVER))
    claim = "H4: weights and copies do the same"
    yield claim, "inverse minus oversample, mean over tokenizers", MACRO, True, differences(weighted, copied)
    for name in TOKENIZERS:
        if name != "continuous":
            pair = (of_study(results, tokenizer, "inverse", MACRO) for tokenizer in (name, "continuous"))
            yield "H5: tokens do not matter", f"{name} minus continuous, weighted", MACRO, True, differences(*pair)


def annotator_claims(results: Results) -> Iterator[Claim]:
    """The default of SCMOE against labels that all count alike, and against balanced logistic regression."""
    for case in dict.fromkeys(result["case"] for result in results if result["kind"] == ANNOTATOR):
        for score, least in ((MACRO, BAR), ("tail_recall", BAR), ("accuracy", -COST)):
            ours, plain = (of_annotator(results, case, method, score) for method in (DEFAULT_BALANCE, NONE))
            claim = f"Balancing adds {least} or more" if least > 0 else f"Balancing costs at most {-least}"
            yield claim, case, score, False, [value - least for value in differences(ours, plain)]
        ours, theirs = (of_annotator(results, case, method, MACRO) for method in (DEFAULT_BALANCE, BASELINE))
        what = f"At most {BELOW} below {BASELINE}"
        yield what, case, MACRO, False, [value + BELOW for value in differences(ours, theirs)]
