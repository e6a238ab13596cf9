"""Whether the claims of the xTrimoGene paper, and our own, hold in what was measured."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from scmoe.studies._statistics import mean_interval
from scmoe.studies.genes._lookup import BySeed, Results, by_seed, curves, differences, of_screen, of_variant
from scmoe.studies.genes._masked import EXPRESSED_MEAN, MASKED_MEAN, MEAN, RIDGE
from scmoe.studies.genes._plan import (
    ANNOTATION,
    BASE,
    BASELINES,
    DEPTH,
    EXPERTS,
    FOLDS,
    HELD_OUT,
    MASKING,
    NO_ZEROS,
    OF_STUDY,
    PERTURBATION,
    PRETRAINING,
    SPARSITY,
    SWEEP,
    TOKENIZERS,
    VALUES,
)
from scmoe.studies.genes._tasks import PCA, PRETRAINED, REGRESSION, START, TUNED
from scmoe.studies.replicate._verdicts import verdict

F1, ACCURACY, ARI = "macro-F1", "accuracy", "k-means ARI"
MSE, NONZERO = "MSE, all masked genes", "MSE, expressed genes"
SWEPT = {
    F1: ("labels", PRETRAINED, "macro_f1"),
    ACCURACY: ("labels", PRETRAINED, "accuracy"),
    ARI: ("clusters", PRETRAINED, "kmeans_ari"),
    MSE: ("masked", "model", "mse"),
    NONZERO: ("masked", "model", "mse_nonzero"),
}
"""Where a setting's scores stand in its result."""
LOWER = (MSE, NONZERO)
MARGIN = 0.02
"""By which the frozen embedding may be below principal components."""
SPARSE, HIGH = 0.96, 0.8
"""The paper: at so many zeros the correlation is still above this."""
UNSEEN = "single"
Row = dict[str, Any]


def find_verdicts(results: Results) -> list[Row]:
    """A row for each comparison that there are results for; every claim is a difference that should be positive."""
    rows = []
    makers = (pretraining_claims, annotation_claims, setting_claims, sparsity_claims, tokenizer_claims, screen_claims)
    for make in makers:
        for study, claim, what, score, found in make(results):
            if found:
                mean, interval = mean_interval(np.array(found))
                row = {"study": study, "claim": claim, "comparison": what, "score": score, "difference": mean}
                rows.append(row | {"interval": interval, "n_seeds": len(found), "verdict": verdict(found)})
    return rows


Claim = tuple[str, str, str, str, list[float]]


def pretraining_claims(results: Results) -> Iterator[Claim]:
    """The model against predictors without a network, where masked genes are predicted."""
    claim = "Masked genes of held-out cells are predicted better than without a network"
    for reference in (MEAN, MASKED_MEAN, EXPRESSED_MEAN, RIDGE):
        for score, name in ((MSE, "mse"), (NONZERO, "mse_nonzero")):
            own, other = (by_seed(results, HELD_OUT, "masked", each, name) for each in ("model", reference))
            yield PRETRAINING, claim, f"{reference} minus model", score, differences(other, own)


def annotation_claims(results: Results) -> Iterator[Claim]:
    """Labels from the embedding against those from principal components, genes, and the embedding at its start."""
    sources = list(dict.fromkeys(r["source"] for r in results if r["kind"] in (HELD_OUT, FOLDS)))
    tuned = TUNED["all"]
    for kind, source, part in [*((HELD_OUT, s, "labels") for s in sources), *((FOLDS, s, "all") for s in sources)]:
        where = f"{source}, {'pretrained on the training fold' if kind == HELD_OUT else 'pretrained on all cells'}"

        def f1(method: str, part: str = part, kind: str = kind, source: str = source) -> BySeed:
            return by_seed(results, kind, part, method, "macro_f1", source=source)

        frozen = [each + MARGIN for each in differences(f1(PRETRAINED), f1(PCA))]
        yield ANNOTATION, f"The frozen embedding is at most {MARGIN} below PCA", where, F1, frozen
        yield ANNOTATION, "Fine-tuning is above PCA", where, F1, differences(f1(tuned), f1(PCA))
        yield (
            ANNOTATION,
            "Fine-tuning is above logistic regression on genes",
            where,
            F1,
            differences(f1(tuned), f1(REGRESSION)),
        )
        yield (
            ANNOTATION,
            "Pretraining makes the embedding better than its start",
            where,
            F1,
            differences(f1(PRETRAINED), f1(START)),
        )


def setting_claims(results: Results) -> Iterator[Claim]:
    """The default against the other settings, and experts against a dense layer."""
    auto = "Auto-discretization is better than other embeddings of a value"
    rate = "30 % of the expressed genes is the best rate of masking"
    claims = dict.fromkeys(OF_STUDY[VALUES], (VALUES, auto)) | dict.fromkeys(OF_STUDY[MASKING], (MASKING, rate))
    claims["classes"] = VALUES, "Regression is better than classification"
    claims[NO_ZEROS] = MASKING, "Masking zeros helps"
    for name, (study, claim) in claims.items():
        for score, path in SWEPT.items() if name != BASE else ():
            yield study, claim, f"default against {name}", score, _better(results, BASE, name, score, path)
    for name in OF_STUDY[EXPERTS][1:]:
        for score, path in SWEPT.items():
            found = _better(results, name, BASE, score, path)
            yield EXPERTS, "Sparse experts help (our own step)", f"{name} against one", score, found


def _better(results: Results, first: str, second: str, score: str, path: tuple[str, ...]) -> list[float]:
    one, other = of_variant(results, first, *path), of_variant(results, second, *path)
    return differences(other, one) if score in LOWER else differences(one, other)


def at_zeros(results: Results, kind: str, variant: str, method: str, target: str, zeros: float) -> BySeed:
    """Correlation at the share of zeros nearest to the one given, by seed."""
    found = {}
    for result in results:
        rows = curves(result, method) if (result["kind"], result["variant"]) == (kind, variant) else []
        if rows:
            found[result["seed"]] = float(min(rows, key=lambda row: abs(row["zeros"] - zeros))[target])
    return found


def sparsity_claims(results: Results) -> Iterator[Claim]:
    """How the correlation falls with sparsity, and beside what."""
    for target in ("thinned", "full"):
        score = f"Pearson r, values of the {'thinned' if target == 'thinned' else 'whole'} cells"
        own, depth = (at_zeros(results, SWEEP, name, "model", target, SPARSE) for name in (BASE, DEPTH))
        whole = at_zeros(results, SWEEP, BASE, "model", target, 0.0)
        ridge = at_zeros(results, BASELINES, BASE, RIDGE, target, SPARSE)
        yield (
            SPARSITY,
            f"At {100 * SPARSE:.0f} % zeros the correlation is above {HIGH}",
            "default",
            score,
            [each - HIGH for each in own.values()],
        )
        yield SPARSITY, "The correlation falls with sparsity", "own zeros minus 96 %", score, differences(whole, own)
        yield SPARSITY, "Depth tokens help in sparse cells", "with minus without, 96 %", score, differences(depth, own)
        yield SPARSITY, "The network is better than ridge in sparse cells", "96 %", score, differences(own, ridge)


def tokenizer_claims(results: Results) -> Iterator[Claim]:
    """Continuous tokens against codes, fine-tuned, in cells as they are and in thinned ones."""
    conditions = next(
        (list(r["sensitivity"][TUNED["all"]]) for r in results if "sensitivity" in r and r["kind"] == SWEEP), []
    )
    for condition in conditions:
        path = "sensitivity", TUNED["all"], condition, "macro_f1"
        own = of_variant(results, BASE, *path)
        for name in OF_STUDY[TOKENIZERS][1:]:
            found = differences(own, of_variant(results, name, *path))
            yield TOKENIZERS, "Continuous tokens are the best", f"against {name}, {condition}", F1, found
        genes = by_seed(results, BASELINES, "sensitivity", REGRESSION, condition, "macro_f1")
        claim = "Fine-tuning is above logistic regression on genes"
        yield TOKENIZERS, claim, f"continuous tokens, {condition}", F1, differences(own, genes)


def screen_claims(results: Results) -> Iterator[Claim]:
    """Features of genes that the model learned against others, for perturbations of genes never perturbed before."""
    claim = "Features of pretrained genes help to predict unseen perturbations"
    pairs = {
        "gene context": ("random 32", "gene context before pretraining", "PCA loadings"),
        "identities": ("random 64", "identities before pretraining", "PCA loadings"),
    }
    for name, others in pairs.items():
        for other in others:
            for score, head in (("mse_top", "MSE, top 20 genes"), ("mse", "MSE, all genes")):
                own, its = (of_screen(results, f"ridge, {each}", UNSEEN, score) for each in (name, other))
                yield PERTURBATION, claim, f"{name} against {other}", head, differences(its, own)


def said(rows: list[Row]) -> list[str]:
    """A sentence for each claim: in how many comparisons it holds, does not, and is not decided."""
    lines = []
    for claim in dict.fromkeys(row["claim"] for row in rows):
        mine = [row["verdict"] for row in rows if row["claim"] == claim]
        counts = ", ".join(f"{name} in {mine.count(name)}" for name in dict.fromkeys(mine))
        lines.append(f"- **{claim}**: {mine[0] if len(mine) == 1 else f'{counts} of {len(mine)} comparisons'}.")
    return lines
