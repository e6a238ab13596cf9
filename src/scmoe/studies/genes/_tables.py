"""Tables of the pretraining studies."""

from scmoe.studies._report import Results, markdown_table, mean_cell, mean_cells
from scmoe.studies._statistics import BySeed, differences, in_order
from scmoe.studies.genes._lookup import by_seed, cell_conditions, levels_of, of_screen, of_variant
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
SETTING_PATHS = (
    *(("masked", MODEL, score) for score in (*ERRORS, "pearson_nonzero")),
    ("labels", PRETRAINED, "macro_f1"),
    ("labels", PRETRAINED, "accuracy"),
    ("clusters", PRETRAINED, "kmeans_ari"),
    ("clusters", PRETRAINED, "leiden_ari"),
    ("seconds",),
)
"""Where the columns of the table of settings stand in a result."""
SCREEN_SCORES = {"mse": "MSE", "pearson": "Pearson", "mse_top": "MSE, top 20", "pearson_top": "Pearson, top 20"}

CLUSTER_SCORES = {
    "homogeneity": "homogeneity (HOMO)",
    "completeness": "completeness (CP)",
    "silhouette": "silhouette (SIL)",
    "nmi": "NMI",
}
"""Of k-means with as many clusters as labels, by the names of the xTrimoGene paper."""


def pretraining_table(results: Results) -> str:
    """Errors at the masked genes of held-out cells, and the model's R² against every other predictor."""
    heads = ["prediction", "knows", *ERRORS.values(), "r, expressed", "model's R², all", "R², expressed", "R², zeros"]
    rows = []
    for name in (MODEL, *REFERENCES):
        scores = {score: by_seed(results, HELD_OUT, "masked", name, score) for score in (*ERRORS, "pearson_nonzero")}
        if not scores["mse"]:
            continue
        own = {score: by_seed(results, HELD_OUT, "masked", MODEL, score) for score in ERRORS}
        explained = ["", "", ""] if name == MODEL else [mean_cell(_explained(own[s], scores[s]), 2) for s in ERRORS]
        rows.append([name, KNOWS[name], *mean_cells(scores.values()), *explained])
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
            subset = [r for r in results if (r["kind"], r["source"]) == (kind, source)]
            rows = [_label_row(subset, kind, part, name) for name in LABELERS if any(name in r[part] for r in subset)]
            # With all folds fine-tuned, the third table has the second's rows.
            if rows and not (part == "all" and subset[0]["n_tuned_folds"] > 1):
                heads = ["method", "macro-F1", "accuracy", "minus PCA, macro-F1", "k-means ARI", "Leiden ARI"]
                parts.append(f"{source}, {title}, seeds {_seeds(subset)}:\n\n{markdown_table(heads, rows)}")
    return "\n\n".join(parts)


def clusters_table(results: Results) -> str:
    """What xTrimoGene reports of clusters (k-means, as many as labels), for every source and representation."""
    parts = []
    for source in dict.fromkeys(r["source"] for r in results if r["kind"] == FOLDS):
        subset = [r for r in results if (r["kind"], r["source"]) == (FOLDS, source)]
        scored = [r for r in subset if all(set(CLUSTER_SCORES) <= set(scores) for scores in r["clusters"].values())]
        names = dict.fromkeys(name for r in scored for name in r["clusters"])
        rows = [
            [name, *mean_cells(by_seed(scored, FOLDS, "clusters", name, score) for score in CLUSTER_SCORES)]
            for name in names
        ]
        if rows:
            table = markdown_table(["representation", *CLUSTER_SCORES.values()], rows)
            parts.append(f"{source}, seeds {_seeds(scored)}:\n\n{table}")
    return "\n\n".join(parts)


def _label_row(results: Results, kind: str, part: str, name: str) -> list[str]:
    f1, pca = (by_seed(results, kind, part, method, "macro_f1") for method in (name, PCA))
    accuracy = by_seed(results, kind, part, name, "accuracy")
    clusters = [by_seed(results, kind, "clusters", name, score) for score in ("kmeans_ari", "leiden_ari")]
    minus_pca = "" if name == PCA else mean_cell(differences(f1, pca), sign=True)
    return [name, *mean_cells([f1, accuracy]), minus_pca, *mean_cells(clusters)]


def _seeds(results: Results) -> str:
    return ", ".join(str(seed) for seed in sorted({r["seed"] for r in results}))


def settings_table(results: Results, study: str) -> str:
    """Masked genes, labels and clusters of each setting, and its difference from the default."""
    heads = ["setting", "MSE, all", "MSE, expressed", "MSE, zeros", "r, expressed", "macro-F1", "minus default"]
    heads += ["accuracy", "k-means ARI", "minus default", "Leiden ARI", "seconds"]
    rows = []
    for name in OF_STUDY[study]:
        scores = {path: of_variant(results, name, *path) for path in SETTING_PATHS}
        if not scores["seconds",]:
            continue
        cells = []
        for path, of_seeds in scores.items():
            cells.append(mean_cell(in_order(of_seeds), 0 if path == ("seconds",) else 3))
            if path[-1] in ("macro_f1", "kmeans_ari"):
                change = differences(of_seeds, of_variant(results, BASE, *path))
                cells.append("" if name == BASE else mean_cell(change, sign=True))
        rows.append([name, *cells])
    rows += [_reference_row(results, name) for name in (RIDGE, PCA, START) if rows]
    return markdown_table(heads, rows) if rows else ""


def _reference_row(results: Results, name: str) -> list[str]:
    # The method stands in the second place of each path; there are no seconds.
    *masked, f1, accuracy, kmeans, leiden = mean_cells(
        by_seed(results, BASELINES, path[0], name, path[2]) for path in SETTING_PATHS[:-1]
    )
    return [f"*{name}*", *masked, f1, "", accuracy, kmeans, "", leiden, ""]


def sparsity_table(results: Results) -> str:
    """Correlations at every share of zeros."""
    rows = []
    of_method = {
        "default": (SWEEP, BASE, MODEL),
        DEPTH: (SWEEP, DEPTH, MODEL),
        RIDGE: (BASELINES, BASE, RIDGE),
        EXPRESSED_MEAN: (BASELINES, BASE, EXPRESSED_MEAN),
    }
    heads: list[str] = []
    for target, cells in (("thinned", "thinned"), ("full", "whole")):
        for name, place in of_method.items():
            if levels := levels_of(results, *place, target):
                heads = [f"{100 * zeros:.0f} % zeros" for zeros, _ in levels]
                rows.append([f"{name}, values of the {cells} cells", *(mean_cell(values) for _, values in levels)])
    return markdown_table(["r of masked expressed genes", *heads], rows) if rows else ""


def tokenizers_table(results: Results) -> str:
    """Macro-F1 of every tokenizer and baseline, in cells as they are and with less to read."""
    lines: list[tuple[str, str, str, str]] = [
        (f"{name}: {method}", SWEEP, name, method)
        for method in (TUNED["all"], f"probe, {FAIR}", f"probe, {DEFAULT}")
        for name in OF_STUDY[TOKENIZERS]
    ]
    lines += [(name, BASELINES, BASE, name) for name in (REGRESSION, PCA)]
    conditions = cell_conditions(results, BASELINES, PCA)
    rows = []
    for title, kind, variant, method in lines:
        scores = [
            by_seed(results, kind, "sensitivity", method, condition, "macro_f1", variant=variant)
            for condition in conditions
        ]
        if any(scores):
            rows.append([title, *mean_cells(scores)])
    return markdown_table(["macro-F1", *conditions], rows) if rows else ""


def label_table(results: Results) -> str:
    """F1 of each label, of the fine-tuned tokenizers and logistic regression, in cells as they are."""
    columns = [(name, SWEEP, name, TUNED["all"]) for name in OF_STUDY[TOKENIZERS]]
    columns += [(REGRESSION, BASELINES, BASE, REGRESSION)]
    names = sorted({x for r in results if r["kind"] == BASELINES for x in r["sensitivity"][REGRESSION]["whole"]["f1"]})
    rows = []
    for label in names:
        path = "whole", "f1", label
        scores = [by_seed(results, kind, "sensitivity", m, *path, variant=variant) for _, kind, variant, m in columns]
        rows.append([label, *(mean_cell(in_order(of_seeds), 2) for of_seeds in scores)])
    return markdown_table(["F1", *(title for title, *_ in columns)], rows) if rows else ""


def perturbation_table_of(results: Results) -> str:
    """Scores of every predictor of perturbations."""
    screens = [r for r in results if r["kind"] == SCREEN]
    parts = []
    for setting in sorted({row["setting"] for r in screens for row in r["rows"]}, reverse=True):
        methods = list(dict.fromkeys(row["method"] for r in screens for row in r["rows"] if row["setting"] == setting))
        rows = [
            [name, *mean_cells(of_screen(results, name, setting, score) for score in SCREEN_SCORES)] for name in methods
        ]
        parts.append(markdown_table([setting, *SCREEN_SCORES.values()], rows))
    return "\n\n".join(parts)
