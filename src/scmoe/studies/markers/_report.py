"""Tables of the study of markers."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from scmoe.studies._report import markdown_table

SETTINGS = {
    "even": "bundled cells in two random groups, half the molecules of a tenth of the features taken from either",
    "batches": "the same, four in five cells of a group of one donor",
    "depth": "the same, that donor with six tenths of all molecules",
    "shallow": "as the first, one group with six tenths of all molecules",
    "network": "simulate_grn, stages",
}
MODALITIES = {"rna": "RNA", "adt": "proteins"}


def markers_markdown(result: Mapping[str, Any]) -> str:
    """Errors, permuted labels, power and time, each a table with what it is of."""
    settings, results = result["settings"], result["results"]
    frames = {
        part: pd.DataFrame(
            [row | {"seed": each["seed"]} for each in results if each["part"] == part for row in each["rows"]]
        )
        for part in dict.fromkeys(each["part"] for each in results)
    }
    n = len(settings["seeds"])
    parts = [
        _errors(pd.concat([frames["shuffled"], frames["donors"]])),
        f"Share of pairs of a feature and a group with adjusted p < .05, mean of {n} seeds (largest in brackets). "
        "Shuffled: 200 of 1000 genes and 40 of 134 proteins of the bundled cells, whose counts were shuffled over all "
        "cells, so that every call is false. Two donors that differ: each shuffled feature has fewer molecules in one "
        "donor, and types go with donors.",
        _permuted(frames["permuted"]),
        f"Share of p < .05 with permuted cell types, {settings['n_draws']} draws, of features that a tenth of the "
        "cells have, ± the standard deviation of the draws.",
        _power(pd.concat([frame for name, frame in frames.items() if name.removeprefix("totalvi-") in SETTINGS])),
        "Power: share of the known differences that are called where the threshold leaves one false call in twenty; "
        "in brackets what is found at the method's own level of .05, and how many of these calls are false. Mean of "
        f"{n} seeds. Pools: four random pools of the cells of each group and donor, for there are but two donors. "
        "totalVI: the first seed alone, by its probability of a difference.",
        _time(frames["time"]),
        "Best of three rounds of 7000 cells × 4000 genes, 15 groups, one thread.",
    ]
    return "\n\n".join(parts) + "\n"


def _errors(frame: pd.DataFrame) -> str:
    keys = ["groups", "method", "batch"]
    rows = []
    for (groups, method, batch), own in frame.groupby(keys, sort=False):
        cells = []
        for name in MODALITIES:
            of = own[own["modality"] == name]
            cells += [
                f"{_percent(of['shuffled'].mean())} ({_percent(of['shuffled'].max())})",
                _percent(of["others"].mean()),
            ]
        rows.append([groups, method + (", within batches" if batch else ""), *cells])
    heads = [f"{name}, {what}" for name in MODALITIES.values() for what in ("shuffled", "others")]
    return markdown_table(["groups", "test", *heads], rows, text=(0, 1))


def _permuted(frame: pd.DataFrame) -> str:
    rows = [
        [MODALITIES[row.modality], "yes" if row.batch else "no", f"{row.share:.3f} ± {row.sd:.3f}"]
        for row in frame.itertuples()
    ]
    return markdown_table(["modality", "within batches", "p < .05"], rows, text=(0, 1))


def _power(frame: pd.DataFrame) -> str:
    methods = list(frame["method"].unique())
    rows = []
    for setting, title in SETTINGS.items():
        cells = []
        for method in methods:
            own = frame[(frame["setting"] == setting) & (frame["method"] == method)]
            power, found, false = (own[name].mean() for name in ("power", "found", "false"))
            cells.append(f"{power:.3f} ({found:.2f}, {_percent(false)})" if len(own) else "–")
        rows.append([title, *cells])
    return markdown_table(["cells", *methods], rows)


def _time(frame: pd.DataFrame) -> str:
    seconds = dict(zip(frame["method"], frame["seconds"], strict=True))
    _, scanpy = seconds.values()
    rows = [[name, f"{value:.1f}", f"{value / scanpy:.2f}"] for name, value in seconds.items()]
    return markdown_table(["test", "seconds", "over scanpy's"], rows)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
