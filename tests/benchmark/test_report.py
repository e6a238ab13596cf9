import pytest

from scmoe.benchmark._figures import rank_table
from scmoe.benchmark._report import best_methods, compare_markdown, summarize


def results(method, values, score="pearson"):
    cost = {"cpu_seconds": 2.0, "peak_memory_gib": 0.5}
    counts = {"n_train": 8, "n_test": 2, "n_features": 3, "n_dropped": 1}
    place = {"task": "predict", "case": "rna → adt", "source": "rna", "target": "adt", "method": method}
    return [place | {"seed": i, "scores": {score: v, **counts}, "cost": cost} for i, v in enumerate(values)]


def test_table_shows_mean_deviation_best_and_reasons():
    skipped = {
        "task": "predict",
        "case": "rna → adt",
        "source": "rna",
        "target": "adt",
        "method": "totalvi",
        "seed": 0,
        "skipped": "scvi is not installed",
    }
    table = summarize([*results("scmoe", [0.5, 0.7]), *results("mean", [0.1, 0.1]), skipped])
    settings = {"data": "d.h5mu", "n_cells": 10, "n_labels": 0, "n_batches": 0, "scmoe": "1", "seeds": [0, 1]}
    text = compare_markdown(table | {"settings": settings | {"modalities": {"rna": "rna"}}})
    assert "| scmoe | **0.600**\u00a0±\u00a00.141 | 2.0 | 0.50 | 2 |" in text
    assert "| mean | 0.100\u00a0±\u00a00.000 | 2.0 | 0.50 | 2 |" in text
    assert "- totalvi (Predict, rna → adt): skipped: scvi is not installed" in text
    assert "3 features that vary in both (1 dropped)" in text


def test_parts_of_a_mixture_are_shown_and_not_compared():
    scores = {"second_pearson": 0.5, "second_pearson_network": 0.4, "second_weight": 0.9, "knn_accuracy": 0.7}
    sizes = {"n_paired": 2, "n_first_only": 2, "n_second_only": 1}
    place = {"task": "mosaic", "case": "rna and adt", "source": "rna", "target": "adt", "method": "scmoe", "seed": 0}
    cost = {"cpu_seconds": 2.0, "peak_memory_gib": 0.5}
    table = summarize([place | {"scores": scores | sizes, "cost": cost}])
    settings = {"data": "d.h5mu", "n_cells": 5, "n_labels": 2, "n_batches": 0, "scmoe": "1", "seeds": [0]}
    text = compare_markdown(table | {"settings": settings | {"modalities": {"rna": "rna", "adt": "protein"}}})
    assert "| method | kNN acc | adt Pearson | adt network alone | adt weight | CPU s | GiB | seeds |" in text
    assert "| scmoe | **0.700** | **0.500** | 0.400 | 0.900 | 2.0 | 0.50 | 1 |" in text
    assert set(rank_table(table["rows"])) == {"rna and adt: kNN acc", "rna and adt: adt Pearson"}


def test_tables_of_many_scores_are_split():
    """Two of seven scores are hub ratios, which are not compared; the second method has no scores of neighbors."""
    scores = {"leiden_ari": 0.5, "leiden_nmi": 0.6, "knn_accuracy": 0.7, "knn_macro_f1": 0.6}
    hubs = {"ilisi": 0.4, "hub_within": 7.0, "hub_outside": 5.0}
    place = {"task": "embed", "case": "all cells", "source": "", "target": "", "seed": 0}
    cost = {"cpu_seconds": 2.0, "peak_memory_gib": 0.5}
    results = [
        place | {"method": "scmoe", "scores": scores | hubs},
        place | {"method": "snf", "scores": {"ilisi": 0.5}},
    ]
    table = summarize([result | {"cost": cost} for result in results])
    settings = {"data": "d.h5mu", "n_cells": 5, "n_labels": 2, "n_batches": 2, "scmoe": "1", "seeds": [0]}
    text = compare_markdown(table | {"settings": settings | {"modalities": {"rna": "rna"}}})
    assert [line for line in text.splitlines() if line.startswith("|") and "---" not in line] == [
        "| method | Leiden ARI | NMI | kNN acc | macro-F1 |",
        "| scmoe | **0.500** | **0.600** | **0.700** | **0.600** |",
        "| method | iLISI | hub ratio within | outside | CPU s | GiB | seeds |",
        "| scmoe | 0.400 | 7.000 | 5.000 | 2.0 | 0.50 | 1 |",
        "| snf | **0.500** | – | – | 2.0 | 0.50 | 1 |",
    ]
    assert not [name for name in rank_table(table["rows"]) if "hub" in name]


def test_methods_that_are_skipped_alike_share_a_line():
    place = {"task": "mosaic", "case": "all cells", "source": "", "target": "", "seed": 0, "skipped": "needs more"}
    table = summarize([place | {"method": method} for method in ("ridge", "knn")])
    settings = {"data": "d.h5mu", "n_cells": 5, "n_labels": 2, "n_batches": 0, "scmoe": "1", "seeds": [0]}
    text = compare_markdown(table | {"settings": settings | {"modalities": {"rna": "rna"}}})
    assert "- ridge, knn (Mosaic, all cells): skipped: needs more" in text


@pytest.mark.parametrize(("score", "best"), [("pearson", "a"), ("nrmse", "b")])
def test_best_may_be_the_lowest(score, best):
    rows = summarize([*results("a", [0.9], score), *results("b", [0.2], score), *results("c", [float("nan")], score)])[
        "rows"
    ]
    assert best_methods(rows, score) == {best}
    assert rank_table(rows).iloc[:, 0].dropna().to_dict() == {best: 0.0, {"a": "b", "b": "a"}[best]: 1.0}
