"""Tables and figure of the scale study."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator

from scmoe.studies._report import Results, hide_spines, markdown_table, save_figure
from scmoe.studies.scale._peers import EPOCH

OURS = ("memory", "disk")
COLORS = {"memory": "C0", "disk": "C2", "scanpy": "0.45", "totalvi": "C1", "multivi": "C3"}
NAMES = {"memory": "scmoe, in memory", "disk": "scmoe, on disk", "totalvi": "totalVI", "multivi": "MultiVI"}
MEMORY = "peak memory"
COLUMNS = 4
"""Panels beside each other."""
SHORTEST = 0.001
"""Seconds that a figure shows."""


def to_markdown(result: Mapping[str, Any]) -> str:
    """A row for each analysis with its scores, for its epochs and for each of its phases, and how it was measured."""
    results: Results = result["results"]
    heads = ["cells", "data", "CPU s", "wall s", "peak MiB", "genes as CSR, MiB", "epochs"]
    heads += ["validation loss", "15-NN", "Pearson"]
    totals = markdown_table(heads, [_total(r) for r in results], text=(1,))
    heads = ["cells", "data", "CPU s an epoch", "over totalVI", "over MultiVI"]
    epochs = markdown_table(heads, [_epoch(r, results) for r in results if "epoch" in r], text=(1,))
    rows = [
        [
            f"{r['n_cells']:,}",
            r["engine"],
            _number(r["scores"].get("epochs"), 0),
            phase,
            f"{of['cpu']:.1f}",
            f"{of['wall']:.1f}",
            f"{of['peak'] - r['start']:,.0f}",
        ]
        for r in results
        for phase, of in r["phases"].items()
    ]
    phases = markdown_table(["cells", "data", "epochs", "phase", "CPU s", "wall s", "peak MiB"], rows, text=(1, 3))
    return "\n\n".join([totals, epochs, phases, _note(results, result["machine"]["processor"])]) + "\n"


def _note(results: Results, processor: str) -> str:
    first = results[0] if results else {"n_genes": 0, "n_proteins": 0, "n_peaks": 0}
    peaks = first["n_peaks"]
    data = (
        f"multiome: {first['n_genes']} genes, {peaks} peaks"
        if peaks
        else (f"CITE-seq: {first['n_genes']} genes, {first['n_proteins']} proteins")
    )
    return (
        f"Simulated {data}, 25 types, 4 batches. One thread of {processor}. scanpy: components, neighbors and clusters "
        "of the genes; totalvi, multivi: one epoch of the training cells in batches as large, nothing else. An epoch "
        "of scmoe includes validation; over totalVI, over MultiVI: its CPU time over theirs. Memory is what no file "
        "holds, above that of a process with its libraries. 15-NN: labels of test cells from their neighbors; Pearson: "
        "their proteins predicted from RNA."
    )


def _epoch(result: Mapping[str, Any], results: Results) -> list[str]:
    ratios = [_number(epoch_ratio(result, results, peer), 2) for peer in ("totalvi", "multivi")]
    return [f"{result['n_cells']:,}", result["engine"], f"{result['epoch']:.2f}", *ratios]


def _total(result: Mapping[str, Any]) -> list[str]:
    phases, scores = result["phases"].values(), result["scores"]
    return [
        f"{result['n_cells']:,}",
        result["engine"],
        *(f"{sum(phase[name] for phase in phases):.0f}" for name in ("cpu", "wall")),
        f"{peak_memory(result):,.0f}",
        f"{result['csr']:,.0f}",
        _number(scores.get("epochs"), 0),
        *(_number(scores.get(name), 3) for name in ("validation_loss", "knn", "pearson")),
    ]


def epoch_ratio(result: Mapping[str, Any], results: Results, peer: str) -> float | None:
    """CPU time of an epoch over that of another engine on as many cells; None where one was not measured."""
    if result["engine"] not in OURS:
        return None
    others = [r["epoch"] for r in results if r["engine"] == peer and r["n_cells"] == result["n_cells"]]
    return result["epoch"] / others[0] if others else None


def peak_memory(result: Mapping[str, Any]) -> float:
    """MiB above those of a process with its libraries, in the phase that needs most."""
    return max(phase["peak"] for phase in result["phases"].values()) - result["start"]


def scale_figure(results: Results, path: Path) -> None:
    """A panel for each phase, one for an epoch and one for memory, against cells; engines are colors.

    All panels of time have one scale.
    """
    names = dict.fromkeys(phase for r in results for phase in r["phases"] if phase != EPOCH)
    panels = [*names, EPOCH, MEMORY] if any("epoch" in r for r in results) else [*names, MEMORY]
    n_rows = -(-len(panels) // COLUMNS)
    figure, axes = plt.subplots(
        n_rows, COLUMNS, figsize=(2.1 * COLUMNS, 2 * n_rows + 0.4), squeeze=False, layout="constrained"
    )
    for ax in axes.flat[len(panels) :]:
        ax.set_axis_off()
    seconds = [value for r in results for name in panels[:-1] if (value := _value(r, name)) is not None]
    for ax, panel in zip(axes.flat, panels, strict=False):
        _draw_panel(ax, panel, results)
        if panel == MEMORY:
            ax.set_ylabel("MiB")
            ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        else:
            ax.set(ylabel="CPU s", ylim=(max(min(seconds), SHORTEST) / 1.5, max(seconds) * 1.5))
    handles = {line.get_label(): line for ax in axes.flat for line in ax.lines}
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=len(handles), frameon=False)
    save_figure(figure, path)


def _draw_panel(ax: Axes, panel: str, results: Results) -> None:
    for engine, color in COLORS.items():
        of_engine = [(r["n_cells"], _value(r, panel)) for r in results if r["engine"] == engine]
        points = sorted((n_cells, value) for n_cells, value in of_engine if value is not None)
        if points:
            ax.plot(*zip(*points, strict=True), "o-", color=color, markersize=4, label=NAMES.get(engine, engine))
    ax.set(xscale="log", yscale="log", title=panel, xlabel="cells")
    cells = sorted({r["n_cells"] for r in results})
    ax.set_xticks(cells, [_short(n) for n in cells])
    ax.set_xlim(cells[0] / 1.5, cells[-1] * 1.5)
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.minorticks_off()
    ax.margins(0.1)
    ax.grid(color="0.92")
    hide_spines(ax)


def _value(result: Mapping[str, Any], panel: str) -> float | None:
    if panel == MEMORY:
        return peak_memory(result)
    if panel == EPOCH:
        return result.get("epoch")
    return result["phases"][panel]["cpu"] if panel in result["phases"] else None


def _short(n: int) -> str:
    return f"{n / 1e6:g}M" if n >= 1e6 else f"{n / 1e3:g}k" if n >= 1e3 else str(n)


def _number(value: float | None, decimals: int) -> str:
    return "–" if value is None else f"{value:.{decimals}f}"
