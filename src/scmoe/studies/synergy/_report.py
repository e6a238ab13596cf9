"""Scores of the synergy study beside its control, what holds, and how it was made."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from scmoe.studies._report import difference_cell, markdown_table, plus_minus
from scmoe.studies._statistics import resampled_interval, verdict
from scmoe.studies.synergy._lines import COMPONENTS, N_FEATURES, NONE, OURS, RANDOM, REPRESENTATIONS
from scmoe.studies.synergy._tasks import LEFT_OUT, MODELS, N_FOLDS

Results = Sequence[Mapping[str, Any]]
HEADS = ("left out", "model", "cell line", "AUROC", "AUPR", f"AUROC − {NONE} [95 %]")
CLAIMS = ((COMPONENTS, NONE), (COMPONENTS, RANDOM), (OURS, NONE), (OURS, RANDOM), (OURS, COMPONENTS))
"""The first of each is better than the second."""
SCORES, VERDICTS, SETTING = "scores", "verdicts", "setting"


def of_folds(results: Results, left_out: str, model: str, representation: str) -> list[Mapping[str, float]]:
    """Scores of all folds and seeds; empty where the task was skipped."""
    asked = {"left_out": left_out, "model": model, "representation": representation}
    return [fold for row in results if asked.items() <= row.items() for fold in row["folds"]]


def difference_row(first: Results, second: Results) -> dict[str, Any]:
    """AUROC of the first minus that of the second, fold by fold."""
    values = [a["auroc"] - b["auroc"] for a, b in zip(first, second, strict=True)]
    mean, interval = resampled_interval(values, _ratio(first))
    return {"difference": mean, "interval": interval, "n_folds": len(values), "verdict": verdict(interval)}


def _ratio(folds: Results) -> float:
    return float(np.mean([fold["n_test"] / fold["n_train"] for fold in folds]))


def claims(results: Results) -> list[dict[str, Any]]:
    """A row for each comparison."""
    return [
        {"claim": f"{better} above {worse}", "left_out": left_out, "model": model} | difference_row(*compared)
        for better, worse in CLAIMS
        for left_out in LEFT_OUT
        for model in MODELS
        if all(compared := [of_folds(results, left_out, model, name) for name in (better, worse)])
    ]


def synergy_sections(table: Mapping[str, Any]) -> dict[str, str]:
    """Text of each part, by name."""
    return {
        SCORES: markdown_table(HEADS, list(_score_rows(table["results"])), text=(0, 1, 2)) + "\n",
        VERDICTS: _verdict_table(table["verdicts"]) + "\n",
        SETTING: _setting(table["settings"]) + "\n",
    }


def _score_rows(results: Results) -> Iterator[list[str]]:
    for left_out in LEFT_OUT:
        for model in MODELS:
            control = of_folds(results, left_out, model, NONE)
            for representation in REPRESENTATIONS:
                if folds := of_folds(results, left_out, model, representation):
                    scores = [_mean_cell(folds, score) for score in ("auroc", "aupr")]
                    known = representation != NONE and control
                    difference = difference_cell(difference_row(folds, control)) if known else "–"
                    yield [left_out, model, representation, *scores, difference]


def _mean_cell(folds: Results, score: str) -> str:
    mean, interval = resampled_interval([fold[score] for fold in folds], _ratio(folds))
    return plus_minus(mean, None if interval is None else interval[1] - mean)


def _verdict_table(verdicts: Results) -> str:
    heads = ["claim", "left out", "model", "difference of AUROC [95 %]", "folds", "verdict"]
    rows = [
        [row["claim"], row["left_out"], row["model"], difference_cell(row), str(row["n_folds"]), row["verdict"]]
        for row in verdicts
    ]
    return markdown_table(heads, rows, text=(0, 1, 2, 5))


def _setting(settings: Mapping[str, Any]) -> str:
    size = settings["size"]
    return (
        f"{settings['n_combinations']} combinations of {settings['n_drugs']} drugs in {settings['n_lines']} cell lines "
        f"({settings['n_genes']} genes), of which {100 * settings['share']:.0f} % are synergistic. "
        f"{size['n_folds']} of {N_FOLDS} folds with each of the seeds {', '.join(map(str, settings['seeds']))}; "
        f"{size['n_trees']} trees, {size['n_epochs']} epochs. Vectors of cell lines have at most {N_FEATURES} numbers; "
        f"{OURS} was trained on {settings['encoder']}. ± and brackets: 95 % intervals over folds, widened for training "
        "sets that overlap (Nadeau and Bengio 2003)."
    )


def synergy_markdown(sections: Mapping[str, str]) -> str:
    """The whole report."""
    heads = {SCORES: "Scores", VERDICTS: "What holds", SETTING: "How it was made"}
    parts = ["# Synergy of drugs: what expression of cell lines adds"]
    for name, text in sections.items():
        parts += [f"## {heads[name]}", text.strip()]
    return "\n\n".join(parts) + "\n"
