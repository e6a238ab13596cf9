"""Tables 1 and 2 of the replication, in Markdown."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from scmoe.studies._report import Results, markdown_table, plus_minus
from scmoe.studies.replicate._data import GRN
from scmoe.studies.replicate._forms import IDENTIFICATION, OURS, PAPER, PREDICTION, REFERENCE
from scmoe.studies.replicate._plan import (
    ALL_FOUR,
    METHODS,
    MOFA,
    PCA,
    RIDGE,
    SCHEMA,
    TOTALVI,
    TOTALVI_R2,
    TRANSDUCTIVE,
    UNITEDNET,
    WNN,
)
from scmoe.studies.replicate._scores import off_diagonal_mean

LABELS = {
    OURS: "scmoe (our default)",
    REFERENCE: "scMoE, reference form",
    IDENTIFICATION: "scMoE, identification only",
    PREDICTION: "scMoE, prediction only",
    PAPER: "scMoE, paper form",
    UNITEDNET: "UnitedNet-style network",
    PCA: "PCA + k-means",
    RIDGE: "ridge",
    SCHEMA: "Schema *",
    MOFA: "MOFA+ *",
    WNN: "WNN *",
    TOTALVI: "totalVI *",
    TOTALVI_R2: "totalVI",
}
KMEANS = dict.fromkeys((REFERENCE, IDENTIFICATION, PAPER, UNITEDNET), "the same, k-means on its states")
REPORTED = {
    "ari": {
        "scMoE": (".75", ".70", ".69", ".72"),
        "UnitedNet": (".70", ".62", ".66", ".56"),
        "identification only": (".49", ".41", ".44", ".50"),
        "WNN": (".43", ".46", ".43", ".46"),
        "Schema": (".55", ".57", ".56", ".56"),
        "MOFA": (".02", ".05", ".66", ".05"),
        "totalVI": (".07", ".02", ".02", ""),
    },
    "leaky": {
        "scMoE": (".41", ".90", ".67", ".62"),
        "UnitedNet": (".39", ".60", ".52", ".47"),
        "identification only": (".20", ".28", ".25", ".35"),
        "WNN": (".21", ".26", ".22", ".36"),
    },
}
"""Tables 1 and 2 of the paper, by the sets of modalities of the simulation, on its own data."""
GROUPS = {"ari": "ARI", "nmi": "NMI", "accuracy": "Hungarian accuracy"}
Modalities = tuple[str, ...]


def groups_section(results: Results, source: str) -> str:
    """ARI, NMI and accuracy of all methods by set of modalities."""
    sets = sets_of_results(results)
    parts = []
    for score, head in GROUPS.items():
        rows = []
        for method in METHODS:
            for label, name in ((LABELS[method], score), (KMEANS.get(method), f"kmeans_{score}")):
                cells = [mean_and_sd(_means(results, method, modalities, name)) for modalities in sets]
                if label and any(cells):
                    rows.append([label, *cells])
        if source == GRN:
            rows += _reported(score)
        parts.append(markdown_table([head, *set_names(sets)], rows))
    marked = ", ".join(LABELS[name].removesuffix(" *") for name in TRANSDUCTIVE)
    parts.append(
        "Test cells of the folds. As many clusters as there are true groups, which nobody knows in practice. Networks "
        "with a clustering head by that head; all others by k-means (mean of five runs) with centers of the "
        f"training cells. \\* {marked} are fitted to all cells, test cells among them, without labels. Mean ± standard "
        "deviation over seeds, or over the folds where there is one seed."
    )
    return "\n\n".join(parts) + "\n"


def r2_section(results: Results, source: str) -> str:
    """Cross-modal R², honest and leaky, upper triangle and all off the diagonal, and full matrices."""
    sets = sets_of_results(results)
    parts = []
    for kind in ("honest", "leaky"):
        for upper in (True, False):
            rows = []
            for method in METHODS:
                cells = [mean_and_sd(_r2_means(results, method, names, kind, upper=upper)) for names in sets]
                if any(cells):
                    rows.append([LABELS[method], *cells])
            if source == GRN and upper:
                rows += _reported(kind)
            head = f"{kind} R², {'upper triangle' if upper else 'all directions'}"
            parts.append(markdown_table([head, *set_names(sets)], rows))
    for modalities in sets[-1:]:
        parts += [_matrix(results, modalities, method, kind) for method in METHODS for kind in ("honest", "leaky")]
    dropped = [sum(fold["n_dropped"]) for result in results for fold in result["folds"] if "n_dropped" in fold]
    parts.append(
        "Honest: the target modality is absent from the input. Leaky, as in the paper: all modalities are fused first, "
        "so states have seen what is decoded from them. Upper triangle, as in the paper: targets come before their "
        "source in the order of the modalities, so the last one is never a target. R² is the mean over features; "
        f"features that do not vary in the test cells were left out ({np.mean(dropped or [0]):.1f} of all modalities' "
        "features on average). How large it can be depends on the noise of the data: the diagonal of our default's "
        "leaky matrix, a modality decoded from its own state, is a guide."
    )
    return "\n\n".join(part for part in parts if part) + "\n"


def sets_of_results(results: Results) -> list[Modalities]:
    """Sets of modalities, in the order of the results."""
    return list(dict.fromkeys(tuple(result["modalities"]) for result in results))


def set_names(sets: Iterable[Modalities]) -> list[str]:
    """Heads of columns."""
    return [" + ".join(modalities) if len(modalities) < len(ALL_FOUR) else "all" for modalities in sets]


def _reported(score: str) -> list[list[str]]:
    """What the paper reports."""
    return [[f"*paper: {method}*", *cells] for method, cells in REPORTED.get(score, {}).items()]


def _folds(results: Results, method: str, modalities: Modalities) -> list[list[Mapping[str, Any]]]:
    """The folds of each seed."""
    case = method, modalities
    return [result["folds"] for result in results if (result["method"], tuple(result["modalities"])) == case]


def _matrix(results: Results, modalities: Modalities, method: str, kind: str) -> str:
    """Mean matrix over folds and seeds; empty where there is none."""
    matrices = [fold[kind] for folds in _folds(results, method, modalities) for fold in folds if kind in fold]
    if not matrices:
        return ""
    mean = np.mean(np.array(matrices, dtype=float), axis=0)
    rows = [
        [target, *("" if np.isnan(value) else f"{value:.2f}" for value in row)]
        for target, row in zip(modalities, mean, strict=True)
    ]
    return markdown_table([f"{LABELS[method]}, {kind}: target, from", *modalities], rows)


def _means(results: Results, method: str, modalities: Modalities, score: str) -> list[float]:
    of_seeds = [[f[score] for f in folds if score in f] for folds in _folds(results, method, modalities)]
    return _by_seed_or_fold([values for values in of_seeds if values])


def _r2_means(results: Results, method: str, modalities: Modalities, kind: str, *, upper: bool) -> list[float]:
    of_seeds = [
        [off_diagonal_mean(fold[kind], upper=upper) for fold in folds if kind in fold]
        for folds in _folds(results, method, modalities)
    ]
    known = [[value for value in values if value is not None] for values in of_seeds]
    return _by_seed_or_fold([values for values in known if values])


def _by_seed_or_fold(of_seeds: Sequence[Sequence[float]]) -> list[float]:
    """Means of the seeds; the folds where there is one seed."""
    return list(of_seeds[0]) if len(of_seeds) == 1 else [float(np.mean(values)) for values in of_seeds]


def mean_and_sd(values: Sequence[float]) -> str:
    """As a cell of a table; empty without values."""
    if not values:
        return ""
    return plus_minus(float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else None, 2)
