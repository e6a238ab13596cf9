"""Markdown and figures of `scmoe.studies.run_genes_cost`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from scipy import stats

from scmoe.studies._report import hide_spines, markdown_table, save_figure
from scmoe.studies.genes.cost._measure import DENSE, OURS, PERFORMER, PUBLISHED, SHORTCUT, USUAL_ZEROS

COLORS = {OURS: "C0", PUBLISHED: "C1", PERFORMER: "C2", DENSE: "C3"}
BAR_GENES, FLOPS_BAR, DENSE_BAR, SPEED_BAR = 10_000, 1 / 3, 1 / 20, 2
"""What the asymmetric network should reach, at 90 % zeros."""
PAPER = {PERFORMER: 1.06e12 / 9.86e12, PUBLISHED: 3.35e11 / 9.86e12}
"""Operations in the paper's Table 1 as a share of the Transformer's."""
PAPER_GENES = 19_264
"""Of the paper's Table 1."""
PAPER_PRESET = "10m"


def operations_of(
    result: Mapping[str, Any], preset: str, n_genes: int, zeros: float, form: str, batch: int | None = None
) -> float:
    """GFLOPs of a training step for a cell."""
    case = {"preset": preset, "n_genes": n_genes, "zeros": zeros, "form": form}
    if form in (OURS, SHORTCUT):
        case["batch"] = result["settings"]["batches"][0] if batch is None else batch
    return next(row["gflops"] for row in result["operations"] if case.items() <= row.items())


def step_of(result: Mapping[str, Any], preset: str, n_genes: int, zeros: float, form: str) -> Mapping[str, Any] | None:
    """The measured row, if there is one; of networks over all genes there is one for all shares of zeros."""
    zeros = zeros if form in (OURS, PUBLISHED) else USUAL_ZEROS
    case = {"preset": preset, "n_genes": n_genes, "zeros": zeros, "form": form}
    return next((row for row in result["steps"] if case.items() <= row.items()), None)


def verdicts(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What should be reached at 10 000 genes and 90 % zeros: claim, preset, form, bar, value, and whether it is met."""
    rows = []
    for preset in dict.fromkeys(row["preset"] for row in result["steps"]):
        for form in (OURS, PUBLISHED):
            own, performer, dense = (
                operations_of(result, preset, BAR_GENES, USUAL_ZEROS, name) for name in (form, PERFORMER, DENSE)
            )
            values = [
                ("operations, of the Performer's", "<", FLOPS_BAR, own / performer),
                ("operations, of the Transformer's", "<", DENSE_BAR, own / dense),
            ]
            step = step_of(result, preset, BAR_GENES, USUAL_ZEROS, form)
            if step is not None:
                values.append(("times faster than the Performer, measured", ">", SPEED_BAR, 1 / step["ratio"]))
            for claim, sign, bar, value in values:
                row = {"preset": preset, "form": form, "claim": claim, "bar": f"{sign} {bar:.3g}", "value": value}
                rows.append(row | {"met": value < bar if sign == "<" else value > bar})
    return rows


def cost_markdown(result: Mapping[str, Any]) -> str:
    """What should be reached, all measurements, the paper's table, how cost grows, and how it was made."""
    settings = result["settings"]
    sizes = "; ".join(
        f"{row['preset']}: {row['ours'] / 1e6:.2f} M parameters, the others {row['rivals'] / 1e6:.2f} M with "
        f"{row['layers']} layers of width {row['width']} and {row['n_heads']} heads (with the tables of {PAPER_GENES} "
        f"genes {row['ours_with_genes'] / 1e6:.2f} M and {row['rivals_with_genes'] / 1e6:.2f} M)"
        for row in result["parameters"]
    )
    rounds = " and ".join(map(str, dict.fromkeys(settings["rounds"].values())))
    note = (
        "A training step is a forward and a backward pass, its operations three times those of the forward pass. "
        f"{settings['batches'][0]} cells a batch, one for the Transformer; {settings['processor']}, one thread, "
        f"medians of {rounds} interleaved rounds of CPU time, compared within a round; scmoe {settings['scmoe']}, "
        f"torch {settings['torch']}, {settings['seconds']:.0f} s in total. Memory is what a forward pass keeps for the "
        f"backward pass, without weights. {sizes}."
    )
    parts = [
        _verdict_table(result),
        _operations_table(result),
        _steps_table(result),
        _paper_table(result),
        _growth(result),
        note,
    ]
    return "\n\n".join(parts) + "\n"


def _verdict_table(result: Mapping[str, Any]) -> str:
    heads = [f"{BAR_GENES} genes, {USUAL_ZEROS:.0%} zeros", "preset", "form", "bar", "result", ""]
    rows = [
        [*(row[name] for name in ("claim", "preset", "form", "bar")), f"{row['value']:.3g}", _met(row["met"])]
        for row in verdicts(result)
    ]
    return markdown_table(heads, rows, text=(0, 1, 2, 5))


def _met(met: bool) -> str:
    return "met" if met else "**missed**"


def _cases(result: Mapping[str, Any]) -> list[tuple[str, int, float]]:
    """Presets, genes and zeros that were measured."""
    return list(dict.fromkeys((r["preset"], r["n_genes"], r["zeros"]) for r in result["steps"] if r["form"] == OURS))


def _number(x: float) -> str:
    return f"{x:.0f}" if x >= 100 else f"{x:.3g}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Numbers by preset, genes and zeros."""
    return markdown_table(["preset", "genes", "zeros", *head], rows)


def _operations_table(result: Mapping[str, Any]) -> str:
    forms = (OURS, PUBLISHED, SHORTCUT, PERFORMER, DENSE)
    rows = [
        [case[0], str(case[1]), f"{case[2]:.0%}", *(_number(operations_of(result, *case, form)) for form in forms)]
        for case in _cases(result)
    ]
    return "GFLOPs of a training step for a cell:\n\n" + _table(forms, rows)


def _steps_table(result: Mapping[str, Any]) -> str:
    forms = (OURS, PUBLISHED, PERFORMER, DENSE)
    rows = []
    for case in _cases(result):
        steps = [step_of(result, *case, form) for form in forms]
        row = [case[0], str(case[1]), f"{case[2]:.0%}"]
        row += ["–" if step is None else f"{_number(1000 * step['seconds'])} ({step['ratio']:.3g})" for step in steps]
        rows.append(row + ["–" if step is None else _number(step["mib"]) for step in steps])
    head = [f"ms, {form}" for form in forms] + [f"MiB, {form}" for form in forms]
    title = "Measured, for a cell: time (in brackets, divided by the Performer's) and memory kept by a forward pass:"
    return f"{title}\n\n{_table(head, rows)}"


def _paper_table(result: Mapping[str, Any]) -> str:
    """Operations as shares of the Transformer's, at the paper's number of genes."""
    case = PAPER_PRESET, PAPER_GENES, USUAL_ZEROS
    dense = operations_of(result, *case, DENSE)
    heads = [f"preset {PAPER_PRESET}, {PAPER_GENES} genes, {USUAL_ZEROS:.0%} zeros", "GFLOPs for a cell"]
    rows = []
    for form in (DENSE, PERFORMER, PUBLISHED):
        count = operations_of(result, *case, form)
        rows.append([form, f"{count:.0f}", f"{count / dense:.1%}", f"{PAPER.get(form, 1):.1%}"])
    for form in (SHORTCUT, OURS):
        for batch in result["settings"]["batches"]:
            count = operations_of(result, *case, form, batch)
            rows.append([f"{form}, {batch} cells a batch", f"{count:.0f}", f"{count / dense:.1%}", ""])
    return markdown_table([*heads, "of the Transformer's", "paper, Table 1"], rows)


def exponent(rows: Sequence[Mapping[str, float]], name: str) -> float:
    """Of the power of the size with which a cost grows."""
    return float(stats.linregress(*(np.log([row[key] for row in rows]) for key in ("size", name))).slope)


def linearity(rows: Sequence[Mapping[str, float]], name: str) -> float:
    """R² of a straight line through a cost against the size."""
    return float(stats.linregress(*([row[key] for row in rows] for key in ("size", name))).rvalue ** 2)


def _growth(result: Mapping[str, Any]) -> str:
    encoder, decoder, settings = result["encoder"], result["decoder"], result["settings"]
    return (
        f"Alone (preset {settings['scaling_preset']}): the encoder's memory grows with the power "
        f"{exponent(encoder, 'mib'):.2f} of the expressed genes, its time with the power "
        f"{exponent(encoder, 'seconds'):.2f} ({encoder[0]['size']} to {encoder[-1]['size']} of "
        f"{settings['encoder_genes']} genes). The decoder's time and memory lie on straight lines in the number of "
        f"genes, R² {linearity(decoder, 'seconds'):.3f} and {linearity(decoder, 'mib'):.3f} ({decoder[0]['size']} to "
        f"{decoder[-1]['size']} genes, {settings['decoder_expressed']} of them expressed)."
    )


def cost_figure(result: Mapping[str, Any], path: Path) -> None:
    """Operations, time and memory for a cell against genes at 90 % zeros, and the gain in time against the zeros."""
    preset = result["settings"]["scaling_preset"]
    figure, axes = plt.subplots(2, 2, figsize=(10, 7.5), layout="constrained")
    of_preset = [row for row in result["steps"] if row["preset"] == preset]
    genes = sorted({row["n_genes"] for row in of_preset})
    for form, color in COLORS.items():
        counted = [operations_of(result, preset, n, USUAL_ZEROS, form) for n in genes]
        axes[0, 0].loglog(genes, counted, marker="o", color=color, label=form)
        at_zeros = [row for row in of_preset if row["form"] == form and row["zeros"] == USUAL_ZEROS]
        for ax, name in ((axes[0, 1], "seconds"), (axes[1, 0], "mib")):
            ax.loglog([r["n_genes"] for r in at_zeros], [r[name] for r in at_zeros], marker="o", color=color)
    shortcut = [operations_of(result, preset, n, USUAL_ZEROS, SHORTCUT) for n in genes]
    axes[0, 0].loglog(genes, shortcut, color=COLORS[PERFORMER], linestyle="--", label=SHORTCUT)
    axes[0, 0].legend(frameon=False, fontsize="small")
    for place, n_genes in enumerate(genes):
        rows = [row for row in of_preset if row["form"] == OURS and row["n_genes"] == n_genes]
        gain = [100 * row["zeros"] for row in rows], [1 / row["ratio"] for row in rows]
        axes[1, 1].plot(*gain, marker="o", color=plt.get_cmap("viridis")(place / len(genes)), label=f"{n_genes} genes")
    axes[1, 1].axhline(SPEED_BAR, color="0.4", linewidth=0.8, linestyle="--")
    axes[1, 1].set_xticks(sorted({100 * row["zeros"] for row in of_preset}))
    axes[1, 1].set_ylim(0)
    axes[1, 1].legend(frameon=False, fontsize="small")
    heads = ("GFLOPs of a training step", "seconds of a training step", "MiB kept for the backward pass")
    for ax, head in zip((axes[0, 0], axes[0, 1], axes[1, 0]), heads, strict=True):
        _label(ax, f"{head}, for a cell ({USUAL_ZEROS:.0%} zeros)", "genes")
    _label(axes[1, 1], f"{OURS}: times faster than the {PERFORMER}", "zeros (%)")
    save_figure(figure, path)


def scaling_figure(result: Mapping[str, Any], path: Path) -> None:
    """Cost of the encoder alone against the expressed genes, and of the decoder alone against all genes."""
    figure, axes = plt.subplots(2, 3, figsize=(11, 6.5), layout="constrained")
    settings = result["settings"]
    sizes = (
        f"expressed genes (of {settings['encoder_genes']})",
        f"genes ({settings['decoder_expressed']} expressed)",
    )
    names = {"seconds": "seconds", "mib": "MiB kept", "gflops": "GFLOPs"}
    for part, line, size in zip(("encoder", "decoder"), axes, sizes, strict=True):
        x = [row["size"] for row in result[part]]
        for ax, (name, head) in zip(line, names.items(), strict=True):
            ax.plot(x, [row[name] for row in result[part]], marker="o", color=COLORS[OURS])
            ax.set_xlim(0)
            ax.set_ylim(0)
            _label(ax, f"{part}: {head}, for a cell", size)
    save_figure(figure, path)


def _label(ax: Axes, title: str, x: str) -> None:
    ax.set_title(title, loc="left", fontsize="small")
    ax.set_xlabel(x)
    hide_spines(ax)
