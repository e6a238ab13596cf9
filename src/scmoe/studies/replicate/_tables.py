"""Tables 1 and 2 of the replication, in Markdown."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from scmoe.studies.replicate._data import GRN
from scmoe.studies.replicate._forms import OURS, PAPER, REFERENCE
from scmoe.studies.replicate._plan import ALL_FOUR, METHODS, MOFA, PCA, RIDGE, TOTALVI, TOTALVI_R2, TRANSDUCTIVE, WNN
from scmoe.studies.replicate._scores import off_diagonal_mean

LABELS = {
    OURS: "scmoe (our default)",
    REFERENCE: "scMoE, reference form",
    PAPER: "scMoE, paper form",
    PCA: "PCA + k-means",
    RIDGE: "ridge",
    MOFA: "MOFA+ *",
    WNN: "WNN *",
    TOTALVI: "totalVI *",
    TOTALVI_R2: "totalVI",
}
KMEANS = {REFERENCE: "the same, k-means on its states", PAPER: "the same, k-means on its states"}
REPORTED = {
    "ari": {
        "scMoE": (".75", ".70", ".69", ".72"),
        "UnitedNet": (".70", ".62", ".66", ".56"),
        "WNN": (".43", ".46", ".43", ".46"),
        "MOFA": (".02", ".05", ".66", ".05"),
        "totalVI": (".07", ".02", ".02", ""),
    },
    "leaky": {
        "scMoE": (".41", ".90", ".67", ".62"),
        "UnitedNet": (".39", ".60", ".52", ".47"),
        "WNN": (".21", ".26", ".22", ".36"),
    },
}
"""Tables 1 and 2 of the paper, by the sets of modalities of the simulation, on its own data."""
GROUPS = {"ari": "ARI", "nmi": "NMI", "accuracy": "Hungarian accuracy"}
Table = Mapping[str, Any]


def groups_section(results: Sequence[Table], source: str) -> str:
    """ARI, NMI and accuracy of all methods by set of modalities."""
    sets = list(dict.fromkeys(tuple(each["modalities"]) for each in results))
    parts = []
    for score, head in GROUPS.items():
        lines = head_of(head, sets)
        for method in METHODS:
            for label, name in ((LABELS[method], score), (KMEANS.get(method), f"kmeans_{score}")):
                cells = [mean_and_sd(_means(results, method, each, name)) for each in sets]
                if label and any(cells):
                    lines.append(f"| {label} | {' | '.join(cells)} |")
        if source == GRN:
            lines += [f"| *paper: {who}* | {' | '.join(row)} |" for who, row in REPORTED.get(score, {}).items()]
        parts.append("\n".join(lines))
    marked = ", ".join(LABELS[name].removesuffix(" *") for name in TRANSDUCTIVE)
    parts.append(
        "Test cells of the folds. As many clusters as there are true groups, which nobody knows in practice. Forms of scMoE with a "
        "clustering head by that head; all others by k-means (mean of five runs) with centers of the training cells. "
        f"\\* {marked} are fitted to all cells, test cells among them, without labels. Mean ± standard deviation over seeds, or over the "
        "folds where there is one seed."
    )
    return "\n\n".join(parts) + "\n"


def r2_section(results: Sequence[Table], source: str) -> str:
    """Cross-modal R², honest and leaky, upper triangle and all off the diagonal, and full matrices."""
    sets = list(dict.fromkeys(tuple(each["modalities"]) for each in results))
    parts = []
    for kind in ("honest", "leaky"):
        for upper in (True, False):
            lines = head_of(f"{kind} R², {'upper triangle' if upper else 'all directions'}", sets)
            for method in METHODS:
                cells = [mean_and_sd(_r2_means(results, method, each, kind, upper=upper)) for each in sets]
                if any(cells):
                    lines.append(f"| {LABELS[method]} | {' | '.join(cells)} |")
            if source == GRN and upper:
                lines += [f"| *paper: {who}* | {' | '.join(row)} |" for who, row in REPORTED.get(kind, {}).items()]
            parts.append("\n".join(lines))
    parts += [
        _matrix(results, each, method, kind) for each in sets[-1:] for method in METHODS for kind in ("honest", "leaky")
    ]
    dropped = [sum(fold["n_dropped"]) for each in results for fold in each["folds"] if "n_dropped" in fold]
    parts.append(
        "Honest: the target modality is absent from the input. Leaky, as in the paper: all modalities are fused first, so states "
        "have seen what is decoded from them. Upper triangle, as in the paper: targets come before their source in the order of the "
        "modalities, so the last one is never a target. R² is the mean over features; features that do not vary in the test cells "
        f"were left out ({np.mean(dropped or [0]):.1f} of all modalities' features on average). How large it can be depends on the noise of the "
        "data: the diagonal of our default's leaky matrix, a modality decoded from its own state, is a guide."
    )
    return "\n\n".join(part for part in parts if part) + "\n"


def _matrix(results: Sequence[Table], modalities: tuple[str, ...], method: str, kind: str) -> str:
    found = [
        fold[kind]
        for each in results
        if (each["method"], tuple(each["modalities"])) == (method, modalities)
        for fold in each["folds"]
        if kind in fold
    ]
    if not found:
        return ""
    mean = np.mean(np.array(found, dtype=float), axis=0)
    lines = [
        f"| {LABELS[method]}, {kind}: target, from | {' | '.join(modalities)} |",
        "|---|" + "---:|" * len(modalities),
    ]
    for target, row in zip(modalities, mean, strict=True):
        lines.append(f"| {target} | " + " | ".join("" if np.isnan(value) else f"{value:.2f}" for value in row) + " |")
    return "\n".join(lines)


def head_of(first: str, sets: Iterable[tuple[str, ...]]) -> list[str]:
    names = [" + ".join(each) if len(each) < len(ALL_FOUR) else "all" for each in sets]
    return [f"| {first} | {' | '.join(names)} |", "|---|" + "---:|" * len(names)]


def _means(results: Sequence[Table], method: str, modalities: tuple[str, ...], score: str) -> list[float]:
    mine = [each["folds"] for each in results if (each["method"], tuple(each["modalities"])) == (method, modalities)]
    values = [[fold[score] for fold in folds if score in fold] for folds in mine]
    return _by_seed_or_fold([each for each in values if each])


def _r2_means(
    results: Sequence[Table], method: str, modalities: tuple[str, ...], kind: str, *, upper: bool
) -> list[float]:
    mine = [each["folds"] for each in results if (each["method"], tuple(each["modalities"])) == (method, modalities)]
    values = [[off_diagonal_mean(fold[kind], upper=upper) for fold in folds if kind in fold] for folds in mine]
    known = [[value for value in each if value is not None] for each in values]
    return _by_seed_or_fold([each for each in known if each])


def _by_seed_or_fold(values: Sequence[Sequence[float]]) -> list[float]:
    """Means of the seeds; the folds where there is one seed."""
    return list(values[0]) if len(values) == 1 else [float(np.mean(each)) for each in values]


def mean_and_sd(values: Sequence[float]) -> str:
    if not values:
        return ""
    spread = f"\u00a0±\u00a0{np.std(values, ddof=1):.2f}" if len(values) > 1 else ""
    return f"{np.mean(values):.2f}{spread}"
