"""Markdown of the pretraining studies: a section for each, and what holds."""

from collections.abc import Mapping, Sequence
from typing import Any

from scmoe.studies._report import difference_cell, markdown_table
from scmoe.studies.genes._claims import sentences
from scmoe.studies.genes._plan import (
    ANNOTATION,
    EXPERTS,
    MASKING,
    PERTURBATION,
    PRETRAINING,
    SPARSITY,
    STUDIES,
    TOKENIZERS,
    VALUES,
)
from scmoe.studies.genes._tables import (
    annotation_table,
    clusters_table,
    label_table,
    perturbation_table_of,
    pretraining_table,
    settings_table,
    sparsity_table,
    tokenizers_table,
)

Table = Mapping[str, Any]
HEADS = {
    PRETRAINING: "Masked genes of held-out cells",
    ANNOTATION: "Annotation and clusters",
    VALUES: "How a value is embedded, and what is predicted",
    MASKING: "How much is masked",
    SPARSITY: "Sparser cells",
    TOKENIZERS: "Tokenizers",
    EXPERTS: "Experts",
    PERTURBATION: "Unseen perturbations",
}
LABELS_TITLE = "F1 of each label, cells as they are:"
VERDICTS, SETTING = "verdicts", "setting"


def tables(table: Table) -> dict[str, str]:
    """Text of every part, by name: verdicts first, then each study's table and its verdicts, then how it was made."""
    results, verdicts = table["results"], table["verdicts"]
    of_study = {
        PRETRAINING: pretraining_table(results),
        ANNOTATION: "\n\n".join(filter(None, [annotation_table(results), clusters_table(results)])),
        **{study: settings_table(results, study) for study in (VALUES, MASKING, EXPERTS)},
        SPARSITY: sparsity_table(results),
        TOKENIZERS: f"{tokenizers_table(results)}\n\n{LABELS_TITLE}\n\n{label_table(results)}",
        PERTURBATION: perturbation_table_of(results),
    }
    sections = {VERDICTS: "\n".join(sentences(verdicts)) + "\n"}
    for study in STUDIES:
        if study in table["settings"]["studies"]:
            rows = [row for row in verdicts if row["study"] == study]
            sections |= {study: f"{of_study[study]}\n", f"{study}_{VERDICTS}": f"{verdict_table(rows)}\n"}
    return sections | {SETTING: setting_section(table)}


def genes_markdown(sections: Mapping[str, str]) -> str:
    """The whole report."""
    heads = HEADS | {VERDICTS: "What holds", SETTING: "How it was made"}
    parts = ["# Masked-gene pretraining: what is learned"]
    for name, text in sections.items():
        # A study's verdicts follow its table under the same head.
        parts += [f"## {heads[name]}", text.strip()] if name in heads else [text.strip()]
    return "\n\n".join(parts) + "\n"


def verdict_table(verdicts: Sequence[Table]) -> str:
    """All comparisons of a study; every claim is a difference that should be positive."""
    heads = ["claim", "comparison", "score", "difference [95 % interval]", "seeds", "verdict"]
    rows = [
        [row["claim"], row["comparison"], row["score"], difference_cell(row), str(row["n_seeds"]), row["verdict"]]
        for row in verdicts
    ]
    return markdown_table(heads, rows, text=(0, 1, 2, 5))


def setting_section(table: Table) -> str:
    """Data, sizes, seeds, and how to read the tables."""
    settings, size = table["settings"], table["settings"]["size"]
    lines = [
        f"- {source['name']}: {source['n_cells']} cells, {source['n_genes']} genes, "
        f"{100 * source['zeros']:.0f} % zeros; {source['n_labeled']} cells with one of {source['n_labels']} labels "
        "that at least five cells have."
        for source in settings["sources"]
    ]
    main = settings["sources"][0]["name"]
    lines += [
        f"- Pretraining and annotation: all genes, at most {size['n_cells']} cells, about {size['n_long_steps']} steps "
        f"of 64 cells (whole epochs); one fifth of the cells of {main} is held out, a different one for each seed. "
        f"Fine-tuning: {size['tuning_epochs']} epochs; on more than {size['tuned_cells']} cells parts of the encoder "
        "in one of the five folds only, and with the first seed only where pretraining sees all cells.",
        f"- All other studies: {size['n_train']} training and {size['n_test']} test cells of {main} at most, the "
        f"{size['n_genes']} genes that are most variable in the training cells, about {size['n_steps']} steps. What is "
        "fitted, probes and baselines too, sees no test cell.",
        f"- Perturbations: simulated knock-outs, {size['n_screen']} cells each, {size['n_steps']} steps on the control "
        "cells.",
        "- The preset `tiny` with default settings but for what is named. All models are compared on the same masks of "
        "test cells: 30 % of the expressed genes and 3 % of the zeros, whatever they were trained with. No label "
        "shapes a pretraining.",
        f"- Seeds {', '.join(map(str, settings['seeds']))} (split, masks and network); mean ± half of the 95 % "
        "interval (Student's t). A claim holds if the interval of its difference lies above 0, does not hold if it "
        f"lies below, and is not decided otherwise. Intervals are not adjusted for {len(table['verdicts'])} "
        f"comparisons. scmoe {settings['scmoe']}.",
    ]
    return "\n".join(lines) + "\n"
