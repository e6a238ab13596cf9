"""Markdown of the replication: a section for each table of the paper, and what did not replicate."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from scmoe.studies._statistics import mean_interval
from scmoe.studies.replicate._data import N_FOLDS
from scmoe.studies.replicate._forms import ABLATIONS
from scmoe.studies.replicate._plan import ALL_FOUR, FIT, GRN_SETS
from scmoe.studies.replicate._tables import LABELS, groups_section, mean_and_sd, r2_section
from scmoe.studies.replicate._verdicts import ARI, FAILS, HOLDS, HONEST, OPEN, ablation_differences, by_seed

Table = Mapping[str, Any]


def replicate_sections(table: Table) -> dict[str, str]:
    """Text of every part, by name."""
    names = list(dict.fromkeys(source["name"] for source in table["settings"]["sources"]))
    sections = {"verdicts": verdict_section(table["verdicts"])}
    for name in names:
        results = [each for each in table["results"] if each["study"] == FIT and each["source"] == name]
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


def verdict_section(verdicts: Sequence[Table]) -> str:
    """A sentence for each claim and form, and a table of all comparisons."""
    lines = []
    for claim, form in dict.fromkeys((row["claim"], row["form"]) for row in verdicts):
        mine = [row for row in verdicts if (row["claim"], row["form"]) == (claim, form)]
        counts = [f"{n} {name}" for name in (HOLDS, FAILS, OPEN) if (n := sum(r["verdict"] == name for r in mine))]
        said = mine[0]["verdict"] if len(mine) == 1 else f"of {len(mine)} comparisons " + ", ".join(counts)
        lines.append(f"- **{claim}**, {LABELS[form]}: {said}.")
    head = [
        "| claim | form | comparison | score | difference [95 % interval] | seeds | verdict |",
        "|---|---|---|---|---:|---:|---|",
    ]
    rows = [
        f"| {row['claim']} | {LABELS[row['form']]} | {row['comparison']} | {row['score']} | {_interval(row)} | {row['n_seeds']} | "
        f"{row['verdict']} |"
        for row in verdicts
    ]
    note = (
        "Every claim is put as a difference that should be positive. It holds if the 95 % interval over seeds (Student's t; a seed is a "
        "simulation, a split and a model) lies above 0, does not hold if it lies below, and is not decided otherwise. Intervals are not "
        f"adjusted for {len(verdicts)} comparisons. The paper's data are not public in this form, so its numbers are no targets."
    )
    return "\n".join(lines) + "\n\n" + "\n".join(head + rows) + "\n\n" + note + "\n"


def _interval(row: Table) -> str:
    interval = row["interval"]
    return f"{row['difference']:+.3f}" + ("" if interval is None else f" [{interval[0]:+.3f}, {interval[1]:+.3f}]")


def ablation_section(results: Sequence[Table]) -> str:
    """ARI and honest R² of every change, beside its base in the same folds."""
    parts = []
    for base, variants in ABLATIONS.items():
        heads = (
            f"{' + '.join(GRN_SETS[0])}: ARI",
            "all four: ARI",
            "honest R²",
            "base minus this, ARI [95 % interval]",
        )
        lines = [f"| {LABELS[base]} | {' | '.join(heads)} |", "|---|" + "---:|" * len(heads)]
        for method in (base, *variants):
            scores = [by_seed(results, method, s, ARI, 1) for s in (GRN_SETS[0], ALL_FOUR)]
            scores.append(by_seed(results, method, GRN_SETS[0], HONEST, 1))
            if not scores[0]:
                continue
            differences = ablation_differences(results, base, method, ARI) if method != base else []
            mean, interval = mean_interval(np.array(differences)) if differences else (0.0, None)
            shown = _interval({"difference": mean, "interval": interval}) if differences else ""
            name = "base" if method == base else method.removeprefix(f"{base}: ")
            lines.append(f"| {name} | {' | '.join(mean_and_sd(list(each.values())) for each in scores)} | {shown} |")
        parts.append("\n".join(lines))
    parts.append(
        "Simulation, the first fold of each seed, of the base too; honest R² of all directions with "
        f"{' + '.join(GRN_SETS[0])}. Differences are over all sets of modalities that the change was run with."
    )
    return "\n\n".join(parts) + "\n"


def setting_section(table: Table) -> str:
    """Data, seeds, and what could not be run."""
    settings = table["settings"]
    lines = []
    for source in {each["name"]: each for each in settings["sources"]}.values():
        lines.append(
            f"- {source['name']}: {source['n_cells']} cells ({source['n_left_out']} without a label or a modality left out), "
            f"{source['n_labels']} groups, {', '.join(source['kinds'])}."
        )
    size = settings["size"]
    quick = f" Quick: {size['max_epochs']} epochs at most of scMoE." if settings["quick"] else ""
    lines.append(
        f"- Seeds {', '.join(map(str, settings['seeds']))}; {size['n_folds']} of {N_FOLDS} folds each, one of ablations and the paper's "
        f"form; scmoe {settings['scmoe']}.{quick}"
    )
    skipped: dict[tuple[str, str, str, str], list[str]] = {}
    for each in table["skipped"]:
        about = (each["method"], each["source"], " + ".join(each["modalities"]), each["reason"])
        skipped.setdefault(about, []).append(str(each["seed"]))
    lines += [
        f"- Skipped: {LABELS.get(method, method)} on {source}, {names}, seed {', '.join(missing)}: {reason}."
        for (method, source, names, reason), missing in skipped.items()
    ]
    return "\n".join(lines) + "\n"
