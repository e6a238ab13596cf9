"""Tables of the pretraining studies."""

from scmoe.studies.genes._lookup import (
    BySeed,
    Results,
    by_seed,
    curves,
    differences,
    markdown_table,
    of_screen,
    of_variant,
    shown,
)
from scmoe.studies.genes._masked import EXPRESSED_MEAN, REFERENCES, RIDGE
from scmoe.studies.genes._plan import BASE, BASELINES, DEPTH, FOLDS, HELD_OUT, OF_STUDY, SCREEN, SWEEP, TOKENIZERS
from scmoe.studies.genes._tasks import DEFAULT, FAIR, PCA, PRETRAINED, REGRESSION, START, TUNED

MODEL = "model"
LABELERS = (PRETRAINED, *TUNED.values(), START, PCA, REGRESSION)
ERRORS = {"mse": "MSE, all", "mse_nonzero": "MSE, expressed", "mse_zero": "MSE, zeros"}
KNOWS = {
    MODEL: "visible genes; which are masked",
    REFERENCES[0]: "the training cells",
    REFERENCES[1]: "which are masked",
    REFERENCES[2]: "which are masked **and expressed**",
    REFERENCES[3]: "visible genes",
    REFERENCES[4]: "visible genes; which are masked",
}
SCREEN_SCORES = {"mse": "MSE", "pearson": "Pearson", "mse_top": "MSE, top 20", "pearson_top": "Pearson, top 20"}


def values_of(found: BySeed) -> list[float]:
    """Numbers in the order of seeds."""
    return [found[seed] for seed in sorted(found)]


def pretraining_table(results: Results) -> str:
    """Errors at the masked genes of held-out cells, and the model's R² against every other predictor."""
    heads = ["prediction", "knows", *ERRORS.values(), "r, expressed", "model's R², all", "R², expressed", "R², zeros"]
    rows = []
    for name in (MODEL, *REFERENCES):
        found = {score: by_seed(results, HELD_OUT, "masked", name, score) for score in (*ERRORS, "pearson_nonzero")}
        if not found["mse"]:
            continue
        own = {score: by_seed(results, HELD_OUT, "masked", MODEL, score) for score in ERRORS}
        explained = ["", "", ""] if name == MODEL else [shown(_explained(own[s], found[s]), 2) for s in ERRORS]
        rows.append([name, KNOWS[name], *(shown(values_of(x)) for x in found.values()), *explained])
    return markdown_table(heads, rows) if rows else ""


def _explained(own: BySeed, other: BySeed) -> list[float]:
    return [1 - own[seed] / other[seed] for seed in sorted(own.keys() & other.keys()) if other[seed]]


def annotation_table(results: Results) -> str:
    """Labels of test cells, and clusters, for every source and way of pretraining."""
    parts = []
    for source in dict.fromkeys(r["source"] for r in results if r["kind"] in (HELD_OUT, FOLDS)):
        for kind, part, title in (
            (HELD_OUT, "labels", "pretrained without the test cells (one fold a seed)"),
            (FOLDS, "all", "pretrained on all cells without labels (five folds)"),
            (FOLDS, "tuned", "pretrained on all cells without labels (the folds that were fine-tuned)"),
        ):
            mine = [r for r in results if (r["kind"], r["source"]) == (kind, source)]
            rows = [_label_row(mine, kind, part, name) for name in LABELERS if any(name in r[part] for r in mine)]
            # With all folds fine-tuned, the third table has the second's rows.
            if rows and not (part == "all" and mine[0]["n_tuned_folds"] > 1):
                heads = ["method", "macro-F1", "accuracy", "minus PCA, macro-F1", "k-means ARI", "Leiden ARI"]
                parts.append(f"{source}, {title}, seeds {_seeds(mine)}:\n\n{markdown_table(heads, rows)}")
    return "\n\n".join(parts)


def _label_row(results: Results, kind: str, part: str, name: str) -> list[str]:
    f1, pca = (by_seed(results, kind, part, each, "macro_f1") for each in (name, PCA))
    clusters = [values_of(by_seed(results, kind, "clusters", name, each)) for each in ("kmeans_ari", "leiden_ari")]
    return [
        name,
        shown(values_of(f1)),
        shown(values_of(by_seed(results, kind, part, name, "accuracy"))),
        "" if name == PCA else shown(differences(f1, pca), sign=True),
        *map(shown, clusters),
    ]


def _seeds(results: Results) -> str:
    return ", ".join(str(seed) for seed in sorted({r["seed"] for r in results}))


def settings_table(results: Results, study: str) -> str:
    """Masked genes, labels and clusters of each setting, and its difference from the default."""
    heads = ["setting", "MSE, all", "MSE, expressed", "MSE, zeros", "r, expressed", "macro-F1", "minus default"]
    heads += ["accuracy", "k-means ARI", "minus default", "Leiden ARI", "seconds"]
    rows = []
    for name in OF_STUDY[study]:
        found = {
            path: of_variant(results, name, *path.split("/"))
            for path in (
                *(f"masked/model/{each}" for each in (*ERRORS, "pearson_nonzero")),
                f"labels/{PRETRAINED}/macro_f1",
                f"labels/{PRETRAINED}/accuracy",
                f"clusters/{PRETRAINED}/kmeans_ari",
                f"clusters/{PRETRAINED}/leiden_ari",
                "seconds",
            )
        }
        if not found["seconds"]:
            continue
        cells = []
        for path, each in found.items():
            cells.append(shown(values_of(each), 0 if path == "seconds" else 3))
            if path.endswith(("macro_f1", "kmeans_ari")):
                change = differences(each, of_variant(results, BASE, *path.split("/")))
                cells.append("" if name == BASE else shown(change, sign=True))
        rows.append([name, *cells])
    rows += [_reference_row(results, name) for name in (RIDGE, PCA, START) if rows]
    return markdown_table(heads, rows) if rows else ""


def _reference_row(results: Results, name: str) -> list[str]:
    masked = [values_of(by_seed(results, BASELINES, "masked", name, each)) for each in (*ERRORS, "pearson_nonzero")]
    f1, accuracy = (values_of(by_seed(results, BASELINES, "labels", name, each)) for each in ("macro_f1", "accuracy"))
    ari = [values_of(by_seed(results, BASELINES, "clusters", name, each)) for each in ("kmeans_ari", "leiden_ari")]
    return [f"*{name}*", *map(shown, masked), shown(f1), "", shown(accuracy), shown(ari[0]), "", shown(ari[1]), ""]


def sparsity_table(results: Results) -> str:
    """Correlations at every share of zeros."""
    rows = []
    of_method = {
        "default": (SWEEP, BASE, MODEL),
        DEPTH: (SWEEP, DEPTH, MODEL),
        RIDGE: (BASELINES, BASE, RIDGE),
        EXPRESSED_MEAN: (BASELINES, BASE, EXPRESSED_MEAN),
    }
    levels: list[float] = []
    for target in ("thinned", "full"):
        for name, (kind, variant, method) in of_method.items():
            mine = [curves(r, method) for r in results if (r["kind"], r["variant"]) == (kind, variant)]
            mine = [each for each in mine if each]
            if mine:
                levels = [sum(each[i]["zeros"] for each in mine) / len(mine) for i in range(min(map(len, mine)))]
                head = f"{name}, values of the {'thinned' if target == 'thinned' else 'whole'} cells"
                rows.append([head, *(shown([each[i][target] for each in mine]) for i in range(len(levels)))])
    return (
        markdown_table(["r of masked expressed genes", *(f"{100 * x:.0f} % zeros" for x in levels)], rows)
        if rows
        else ""
    )


def tokenizers_table(results: Results) -> str:
    """Macro-F1 of every tokenizer and baseline, in cells as they are and with less to read."""
    lines: list[tuple[str, str, str, str]] = [
        (f"{name}: {method}", SWEEP, name, method)
        for method in (TUNED["all"], f"probe, {FAIR}", f"probe, {DEFAULT}")
        for name in OF_STUDY[TOKENIZERS]
    ]
    lines += [(name, BASELINES, BASE, name) for name in (REGRESSION, PCA)]
    conditions = _conditions(results)
    rows = []
    for title, kind, variant, method in lines:
        found = [
            values_of(by_seed(results, kind, "sensitivity", method, each, "macro_f1", variant=variant))
            for each in conditions
        ]
        if any(found):
            rows.append([title, *map(shown, found)])
    return markdown_table(["macro-F1", *conditions], rows) if rows else ""


def label_table(results: Results) -> str:
    """F1 of each label, of the fine-tuned tokenizers and logistic regression, in cells as they are."""
    columns = [(name, SWEEP, name, TUNED["all"]) for name in OF_STUDY[TOKENIZERS]]
    columns += [(REGRESSION, BASELINES, BASE, REGRESSION)]
    names = sorted({x for r in results if r["kind"] == BASELINES for x in r["sensitivity"][REGRESSION]["whole"]["f1"]})
    rows = [
        [
            label,
            *(
                shown(
                    values_of(by_seed(results, kind, "sensitivity", method, "whole", "f1", label, variant=variant)), 2
                )
                for _, kind, variant, method in columns
            ),
        ]
        for label in names
    ]
    return markdown_table(["F1", *(title for title, *_ in columns)], rows) if rows else ""


def _conditions(results: Results) -> list[str]:
    return next((list(r["sensitivity"][PCA]) for r in results if r["kind"] == BASELINES), [])


def perturbation_table_of(results: Results) -> str:
    """Scores of every predictor of perturbations."""
    screens = [r for r in results if r["kind"] == SCREEN]
    parts = []
    for setting in sorted({row["setting"] for r in screens for row in r["rows"]}, reverse=True):
        methods = list(dict.fromkeys(row["method"] for r in screens for row in r["rows"] if row["setting"] == setting))
        rows = [
            [name, *(shown(values_of(of_screen(results, name, setting, score))) for score in SCREEN_SCORES)]
            for name in methods
        ]
        parts.append(markdown_table([setting, *SCREEN_SCORES.values()], rows))
    return "\n\n".join(parts)
