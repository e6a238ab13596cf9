"""Whether the claims of the xTrimoGene paper, and our own, hold in what was measured."""

from collections.abc import Iterator

from scmoe.studies._report import Results, Row, verdict_row
from scmoe.studies._statistics import BySeed, differences
from scmoe.studies.genes._lookup import at_zeros, by_seed, cell_conditions, of_screen, of_variant
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
Claim = tuple[str, str, str, str, list[float]]
"""Study, claim, comparison and score, and the difference that should be positive, of each seed."""


def claims(results: Results) -> list[Row]:
    """A row for each comparison that there are results for."""
    makers = (pretraining_claims, annotation_claims, setting_claims, sparsity_claims, tokenizer_claims, screen_claims)
    return [
        verdict_row({"study": study, "claim": claim, "comparison": comparison, "score": score}, sample)
        for make in makers
        for study, claim, comparison, score, sample in make(results)
        if sample
    ]


def pretraining_claims(results: Results) -> Iterator[Claim]:
    """The model against predictors without a network, where masked genes are predicted."""
    claim = "Masked genes of held-out cells are predicted better than without a network"
    for reference in (MEAN, MASKED_MEAN, EXPRESSED_MEAN, RIDGE):
        for score, name in ((MSE, "mse"), (NONZERO, "mse_nonzero")):
            own, other = (by_seed(results, HELD_OUT, "masked", method, name) for method in ("model", reference))
            yield PRETRAINING, claim, f"{reference} minus model", score, differences(other, own)


def annotation_claims(results: Results) -> Iterator[Claim]:
    """Labels from the embedding against those from principal components, genes, and the embedding at its start."""
    sources = list(dict.fromkeys(r["source"] for r in results if r["kind"] in (HELD_OUT, FOLDS)))
    tuned = TUNED["all"]
    for kind, source, part in [*((HELD_OUT, s, "labels") for s in sources), *((FOLDS, s, "all") for s in sources)]:
        where = f"{source}, {'pretrained on the training fold' if kind == HELD_OUT else 'pretrained on all cells'}"

        def f1(method: str, part: str = part, kind: str = kind, source: str = source) -> BySeed:
            return by_seed(results, kind, part, method, "macro_f1", source=source)

        frozen = [difference + MARGIN for difference in differences(f1(PRETRAINED), f1(PCA))]
        yield ANNOTATION, f"The frozen embedding is at most {MARGIN} below PCA", where, F1, frozen
        for claim, first, second in (
            ("Fine-tuning is above PCA", tuned, PCA),
            ("Fine-tuning is above logistic regression on genes", tuned, REGRESSION),
            ("Pretraining makes the embedding better than its start", PRETRAINED, START),
        ):
            yield ANNOTATION, claim, where, F1, differences(f1(first), f1(second))


def setting_claims(results: Results) -> Iterator[Claim]:
    """The default against the other settings, and experts against a dense layer."""
    auto = "Auto-discretization is better than other embeddings of a value"
    rate = "30 % of the expressed genes is the best rate of masking"
    of_setting = dict.fromkeys(OF_STUDY[VALUES], (VALUES, auto)) | dict.fromkeys(OF_STUDY[MASKING], (MASKING, rate))
    of_setting["classes"] = VALUES, "Regression is better than classification"
    of_setting[NO_ZEROS] = MASKING, "Masking zeros helps"
    for name, (study, claim) in of_setting.items():
        for score, path in SWEPT.items() if name != BASE else ():
            yield study, claim, f"default against {name}", score, _better(results, BASE, name, score, path)
    for name in OF_STUDY[EXPERTS][1:]:
        for score, path in SWEPT.items():
            sample = _better(results, name, BASE, score, path)
            yield EXPERTS, "Sparse experts help (our own step)", f"{name} against one", score, sample


def _better(results: Results, first: str, second: str, score: str, path: tuple[str, ...]) -> list[float]:
    one, other = of_variant(results, first, *path), of_variant(results, second, *path)
    return differences(other, one) if score in LOWER else differences(one, other)


def sparsity_claims(results: Results) -> Iterator[Claim]:
    """How the correlation falls with sparsity, and beside what."""
    for target in ("thinned", "full"):
        score = f"Pearson r, values of the {'thinned' if target == 'thinned' else 'whole'} cells"
        own, depth = (at_zeros(results, SWEEP, name, "model", target, SPARSE) for name in (BASE, DEPTH))
        whole = at_zeros(results, SWEEP, BASE, "model", target, 0.0)
        ridge = at_zeros(results, BASELINES, BASE, RIDGE, target, SPARSE)
        claim = f"At {100 * SPARSE:.0f} % zeros the correlation is above {HIGH}"
        yield SPARSITY, claim, "default", score, [value - HIGH for value in own.values()]
        yield SPARSITY, "The correlation falls with sparsity", "own zeros minus 96 %", score, differences(whole, own)
        yield SPARSITY, "Depth tokens help in sparse cells", "with minus without, 96 %", score, differences(depth, own)
        yield SPARSITY, "The network is better than ridge in sparse cells", "96 %", score, differences(own, ridge)


def tokenizer_claims(results: Results) -> Iterator[Claim]:
    """Continuous tokens against codes, fine-tuned, in cells as they are and in thinned ones."""
    for condition in cell_conditions(results, SWEEP, TUNED["all"]):
        path = "sensitivity", TUNED["all"], condition, "macro_f1"
        own = of_variant(results, BASE, *path)
        for name in OF_STUDY[TOKENIZERS][1:]:
            sample = differences(own, of_variant(results, name, *path))
            yield TOKENIZERS, "Continuous tokens are the best", f"against {name}, {condition}", F1, sample
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
                own, reference = (of_screen(results, f"ridge, {f}", UNSEEN, score) for f in (name, other))
                yield PERTURBATION, claim, f"{name} against {other}", head, differences(reference, own)


def sentences(rows: list[Row]) -> list[str]:
    """A sentence for each claim: in how many comparisons it holds, does not, and is not decided."""
    lines = []
    for claim in dict.fromkeys(row["claim"] for row in rows):
        verdicts = [row["verdict"] for row in rows if row["claim"] == claim]
        counts = ", ".join(f"{name} in {verdicts.count(name)}" for name in dict.fromkeys(verdicts))
        summary = verdicts[0] if len(verdicts) == 1 else f"{counts} of {len(verdicts)} comparisons"
        lines.append(f"- **{claim}**: {summary}.")
    return lines
