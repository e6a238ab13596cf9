"""Markdown of the replication: a section for each table of the paper, and what did not replicate."""

from collections.abc import Mapping
from typing import Any

from scmoe.studies._report import Results, difference_cell, markdown_table, verdict_row
from scmoe.studies._statistics import FAILS, HOLDS, OPEN
from scmoe.studies.replicate._claims import ARI, HONEST, ablation_differences, by_seed
from scmoe.studies.replicate._data import N_FOLDS
from scmoe.studies.replicate._forms import ABLATIONS
from scmoe.studies.replicate._plan import ALL_FOUR, FIT, GRN_SETS
from scmoe.studies.replicate._tables import LABELS, groups_section, mean_and_sd, r2_section

Table = Mapping[str, Any]


def tables(table: Table) -> dict[str, str]:
    """Text of every part, by name."""
    names = list(dict.fromkeys(source["name"] for source in table["settings"]["sources"]))
    sections = {"verdicts": verdict_section(table["verdicts"])}
    for name in names:
        results = [result for result in table["results"] if (result["study"], result["source"]) == (FIT, name)]
        sections[f"groups_{name}"] = groups_section(results, name)
        sections[f"r2_{name}"] = r2_section(results, name)
    sections["ablation"] = ablation_section(table["results"])
    sections["setting"] = setting_section(table)
    return sections


def replicate_markdown(sections: Mapping[str, str]) -> str:
    """The whole report."""
    heads = {
        "verdicts": "What did not replicate, and what did",
        "ablation": "Table 3: ablation",
        "setting": "How it was made",
    }
    parts = ["# The scMoE paper, replicated"]
    for name, text in sections.items():
        kind, _, source = name.partition("_")
        head = (
            heads.get(name)
            or f"{'Table 1: groups of cells' if kind == 'groups' else 'Table 2: cross-modal R²'}, {source}"
        )
        parts += [f"## {head}", text.strip()]
    return "\n\n".join(parts) + "\n"


def verdict_section(verdicts: Results) -> str:
    """A sentence for each claim and form, and a table of all comparisons."""
    lines = []
    for claim, form in dict.fromkeys((row["claim"], row["form"]) for row in verdicts):
        decisions = [row["verdict"] for row in verdicts if (row["claim"], row["form"]) == (claim, form)]
        counts = [f"{n} {name}" for name in (HOLDS, FAILS, OPEN) if (n := decisions.count(name))]
        summary = decisions[0] if len(decisions) == 1 else f"of {len(decisions)} comparisons " + ", ".join(counts)
        lines.append(f"- **{claim}**, {LABELS[form]}: {summary}.")
    heads = ["claim", "form", "comparison", "score", "difference [95 % interval]", "seeds", "verdict"]
    rows = []
    for row in verdicts:
        labels = (row["claim"], LABELS[row["form"]], row["comparison"], row["score"])
        rows.append([*labels, difference_cell(row), str(row["n_seeds"]), row["verdict"]])
    note = (
        "Every claim is put as a difference that should be positive. It holds if the 95 % interval over seeds "
        "(Student's t; a seed is a simulation, a split and a model) lies above 0, does not hold if it lies below, and "
        f"is not decided otherwise. Intervals are not adjusted for {len(verdicts)} comparisons. The paper's data are "
        "not public in this form, so its numbers are no targets."
    )
    verdict_table = markdown_table(heads, rows, text=(0, 1, 2, 3, 6))
    return "\n\n".join(["\n".join(lines), verdict_table, note]) + "\n"


def ablation_section(results: Results) -> str:
    """ARI and honest R² of every change, beside its base in the same folds."""
    parts = []
    for base, variants in ABLATIONS.items():
        heads = (
            f"{' + '.join(GRN_SETS[0])}: ARI",
            "all four: ARI",
            "honest R²",
            "base minus this, ARI [95 % interval]",
        )
        rows = []
        for method in (base, *variants):
            scores = [by_seed(results, method, modalities, ARI, 1) for modalities in (GRN_SETS[0], ALL_FOUR)]
            scores.append(by_seed(results, method, GRN_SETS[0], HONEST, 1))
            if not scores[0]:
                continue
            sample = ablation_differences(results, base, method, ARI) if method != base else []
            name = "base" if method == base else method.removeprefix(f"{base}: ")
            cells = [mean_and_sd(list(of_seeds.values())) for of_seeds in scores]
            rows.append([name, *cells, difference_cell(verdict_row({}, sample)) if sample else ""])
        parts.append(markdown_table([LABELS[base], *heads], rows))
    parts.append(
        "Simulation, the first fold of each seed, of the base too; honest R² of all directions with "
        f"{' + '.join(GRN_SETS[0])}. Differences are over all sets of modalities that the change was run with."
    )
    return "\n\n".join(parts) + "\n"


def setting_section(table: Table) -> str:
    """Data, seeds, and what could not be run."""
    settings = table["settings"]
    lines = []
    for source in {entry["name"]: entry for entry in settings["sources"]}.values():
        lines.append(
            f"- {source['name']}: {source['n_cells']} cells ({source['n_left_out']} without a label or a modality left "
            f"out), {source['n_labels']} groups, {', '.join(source['kinds'])}."
        )
    size = settings["size"]
    quick = f" Quick: {size['max_epochs']} epochs at most of scMoE." if settings["quick"] else ""
    lines.append(
        f"- Seeds {', '.join(map(str, settings['seeds']))}; {size['n_folds']} of {N_FOLDS} folds each, one of "
        f"ablations and the paper's form; scmoe {settings['scmoe']}.{quick}"
    )
    skipped: dict[tuple[str, str, str, str], list[str]] = {}
    for row in table["skipped"]:
        case = (row["method"], row["source"], " + ".join(row["modalities"]), row["reason"])
        skipped.setdefault(case, []).append(str(row["seed"]))
    lines += [
        f"- Skipped: {LABELS.get(method, method)} on {name}, {modalities}, seed {', '.join(seeds)}: {reason}."
        for (method, name, modalities, reason), seeds in skipped.items()
    ]
    return "\n".join(lines) + "\n"
