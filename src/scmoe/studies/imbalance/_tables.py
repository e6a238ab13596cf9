"""Tables of the study of unequal labels."""

from collections.abc import Mapping
from typing import Any

from scmoe.losses._class_balance import DEFAULT_BALANCE
from scmoe.studies._report import Results, markdown_table, mean_cell, mean_cells
from scmoe.studies._statistics import differences
from scmoe.studies.imbalance._annotator import BASELINES
from scmoe.studies.imbalance._claims import MACRO, TAIL, of_annotator, of_study, over_tokenizers, rhos_of
from scmoe.studies.imbalance._plan import ANNOTATED, ANNOTATOR, EVERYWHERE, NONE, STUDY, TOKENIZERS, TREATMENTS

HEADS = {
    "macro_f1": "macro-F1",
    "tail_f1": "tail F1",
    "tail_recall": "tail recall",
    "worst_recall": "worst recall",
    "accuracy": "accuracy",
    "macro_auprc": "macro AUPRC",
    "ece": "ECE",
    "ece_tail": "tail ECE",
    "recall_slope": "recall and frequency",
}


def tables(table: Mapping[str, Any]) -> dict[str, str]:
    """Text of each table by name."""
    results = table["results"]
    sections = {"setting": setting(table["settings"], results)}
    if any(result["kind"] == STUDY for result in results):
        sections |= {
            "factors": factor_table(results),
            "treatments": treatment_table(results),
            "tokenizers": tokenizer_table(results),
        }
    for case in dict.fromkeys(result["case"] for result in results if result["kind"] == ANNOTATOR):
        sections[f"annotator_{case}"] = annotator_table(results, case)
    return sections | {"verdicts": verdict_table(table["verdicts"])}


def setting(settings: Mapping[str, Any], results: Results) -> str:
    """What was run."""
    source, size = settings["source"], settings["size"]
    lines = [
        f"{source['name']}: {source['n_cells']} cells, {source['n_labeled']} with one of {source['n_labels']} labels."
    ]
    studied = [result for result in results if result["kind"] == STUDY]
    if studied:
        first = studied[0]
        lines.append(
            f"Study: {first['n_labels']} labels in random order of frequency, {first['n_total']} labeled training "
            f"cells (first seed) at every factor; {size['n_genes']} genes; networks pretrained for about "
            f"{size['n_pretraining']} steps on all training cells without labels and fine-tuned for {size['n_steps']} "
            f"steps, whatever the treatment; tested on {first['n_test']} cells with natural frequencies."
        )
    lines += [f"Left out: {reason}." for reason in settings["skipped"]]
    return "\n".join(f"- {line}" for line in lines)


def factor_table(results: Results) -> str:
    """F1 by factor and tokenizer."""
    rows = [
        [
            f"{rho:g}, {treatment}, {head}",
            *mean_cells(of_study(results, name, treatment, score, rho) for name in TOKENIZERS),
        ]
        for score, head in ((TAIL, "tail F1"), (MACRO, "macro-F1"))
        for treatment in EVERYWHERE
        for rho in rhos_of(results)
    ]
    return markdown_table(["factor, treatment, score", *TOKENIZERS], rows)


def treatment_table(results: Results) -> str:
    """Means over tokenizers for each treatment at the main factor."""
    none = over_tokenizers(results, NONE, MACRO)
    rows = []
    for treatment in TREATMENTS:
        minus_none = differences(over_tokenizers(results, treatment, MACRO), none)
        cells = mean_cells(over_tokenizers(results, treatment, score) for score in HEADS)
        rows.append([treatment, *cells, "" if treatment == NONE else mean_cell(minus_none, sign=True)])
    return markdown_table(["treatment", *HEADS.values(), "macro-F1 minus none"], rows)


def tokenizer_table(results: Results) -> str:
    """Macro-F1 of each treatment and tokenizer at the main factor."""
    rows = [
        [treatment, *mean_cells(of_study(results, name, treatment, MACRO) for name in TOKENIZERS)]
        for treatment in TREATMENTS
    ]
    return markdown_table(["macro-F1", *TOKENIZERS], rows)


def annotator_table(results: Results, case: str) -> str:
    """Scores of each option and baseline."""
    rows = []
    for method in (*ANNOTATED, *BASELINES):
        name = f"**{method}** (default)" if method == DEFAULT_BALANCE else method
        rows.append([name, *mean_cells(of_annotator(results, case, method, score) for score in HEADS)])
    return markdown_table(["class_balance", *HEADS.values()], rows)


def verdict_table(verdicts: list[dict[str, Any]]) -> str:
    """Hypotheses and what was measured."""
    rows = []
    for row in verdicts:
        interval = "–" if row["interval"] is None else f"[{row['interval'][0]:+.3f}, {row['interval'][1]:+.3f}]"
        score, p = HEADS.get(row["score"], row["score"]), f"{row['p']:.3f} ({row['p_holm']:.2f})"
        rows.append([row["claim"], row["comparison"], score, f"{row['difference']:+.3f}", interval, p, row["verdict"]])
    heads = ["hypothesis", "comparison", "score", "difference", "95 % interval", "p (Holm)", "verdict"]
    return markdown_table(heads, rows)
