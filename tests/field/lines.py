"""A line of the table, and what several rows need: quiet trainings, lines of the log, made-up data, scores."""

import contextlib
import functools
import logging
import os
from collections.abc import Iterator
from typing import Any, NamedTuple

import anndata as ad
import numpy as np
import pandas as pd
from mudata import MuData
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from sklearn.metrics import normalized_mutual_info_score
from sklearn.neighbors import NearestNeighbors

import scmoe
from scmoe._log import logger

N_NEIGHBORS = 15
N_KINDS = 4


class Line(NamedTuple):
    """One measure: as it was at commit f6ec5a7, as it is, as it should be."""

    measure: str
    seen: str
    today: str
    right: str
    bar: str
    met: bool | None
    """None: only for comparison."""


def number(
    measure: str, seen: float | str, today: float, right: float | str, *, least: float = -np.inf, most: float = np.inf
) -> Line:
    """A line of numbers, with a bar where `least` or `most` is given."""
    bounds = [f"≥ {least:.3g}" if np.isfinite(least) else "", f"≤ {most:.3g}" if np.isfinite(most) else ""]
    bar = " and ".join(filter(None, bounds))
    met = bool(least <= today <= most) if bar else None
    return Line(measure, _text(seen), _text(today), _text(right), bar, met)


def words(measure: str, seen: str, today: str, right: str, met: bool) -> Line:
    """A line of words."""
    return Line(measure, seen, today, right, "as right", met)


def _text(value: float | str) -> str:
    if isinstance(value, str | int):
        return str(value)
    return f"{value:.2f}" if abs(value) >= 1 else f"{value:.3f}".replace("0.", ".", 1)


def first_line(error: BaseException) -> str:
    """Type and first line of an error."""
    return f"{type(error).__name__}: {next(iter(str(error).strip().splitlines()), '')}"


@contextlib.contextmanager
def log_lines() -> Iterator[list[str]]:
    """What scmoe says meanwhile, in place of stderr."""
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(f"{record.levelname}: {record.getMessage()}")  # type: ignore[method-assign]
    handlers, logger.handlers = logger.handlers, [handler]
    try:
        yield lines
    finally:
        logger.handlers = handlers


def warnings_of(lines: list[str]) -> str:
    """The warnings of the log, but for those of short trainings; or "no warning"."""
    texts = [line.removeprefix("WARNING: ") for line in lines if line.startswith("WARNING")]
    return " / ".join(text for text in texts if not text.startswith("trained ")) or "no warning"


def train(data: Any, max_epochs: int | None = None, **options: Any) -> Any:
    """`scmoe.tl.train`, seed 0, without a progress bar."""
    return scmoe.tl.train(data, max_epochs=max_epochs, train_kwargs={"enable_progress_bar": False}, **options)


def prepared(mdata: MuData, **options: Any) -> MuData:
    """The same data, prepared."""
    scmoe.pp.prepare(mdata, **options)
    return mdata


def matrix(values: NDArray[Any], cells: ArrayLike, prefix: str) -> ad.AnnData:
    """A modality of sparse values."""
    names = [f"{prefix}{i}" for i in range(values.shape[1])]
    frames = {"obs": pd.DataFrame(index=pd.Index(cells)), "var": pd.DataFrame(index=names)}
    return ad.AnnData(sparse.csr_matrix(values.astype(np.float32)), **frames)


def made(n_cells: int = 300, n_genes: int = 100, n_proteins: int = 12, *, depth: float = 0.3) -> MuData:
    """Raw counts of genes and proteins in four kinds of cells; the two batches differ in nothing.

    `depth` is the spread of the totals of genes, in log units.
    """
    world, draw = np.random.default_rng(1), np.random.default_rng(0)
    kind = draw.integers(N_KINDS, size=n_cells)
    cells = [f"cell{i}" for i in range(n_cells)]
    genes = np.exp(world.normal(0, 1, n_genes) + world.normal(0, 1, (N_KINDS, n_genes)))
    proteins = np.exp(world.normal(3, 0.5, n_proteins) + world.normal(0, 1, (N_KINDS, n_proteins)))
    rna = draw.poisson(genes[kind] * draw.lognormal(0, depth, (n_cells, 1)))
    adt = draw.poisson(proteins[kind])
    mdata = MuData({"rna": matrix(rna, cells, "Gene"), "adt": matrix(adt, cells, "CD")})
    mdata.obs["kind"] = pd.Categorical(kind.astype(str))
    mdata.obs["batch"] = pd.Categorical(draw.choice(["a", "b"], n_cells))
    return mdata


def dense(mdata: MuData, modality: str) -> NDArray[np.float64]:
    """Values of a modality as a dense array."""
    values = mdata[modality].X
    return np.asarray(values.todense() if sparse.issparse(values) else values, dtype=np.float64)


@functools.cache
def bmmc() -> tuple[MuData, Any]:
    """The bundled data as they are, trained with their batches: what the rows on real data compare with."""
    mdata = prepared(scmoe.datasets.bmmc_cite())
    return mdata, train(mdata, batch_key="batch")


def neighbors(mdata: MuData) -> NDArray[np.int64]:
    """The nearest other cells of each cell in the embedding."""
    points = mdata.obsm["X_scmoe"]
    return NearestNeighbors(n_neighbors=N_NEIGHBORS + 1).fit(points).kneighbors(points, return_distance=False)[:, 1:]


def own_share(mdata: MuData, groups: ArrayLike) -> float:
    """Share of the neighbors that are of the cell's own group."""
    groups = np.asarray(groups)
    return float((groups[neighbors(mdata)] == groups[:, None]).mean())


def mixing(mdata: MuData, group: ArrayLike) -> float:
    """Neighbors from the other of two groups, as a multiple of what chance gives: 1 where the groups are mixed."""
    inside = np.asarray(group, dtype=bool)
    return (1 - own_share(mdata, inside)) / (2 * inside.mean() * (1 - inside.mean()))


def nmi(mdata: MuData, labels: str) -> float:
    """Agreement of the clusters with labels: normalized mutual information, geometric mean."""
    clusters = mdata.obs["scmoe_cluster"]
    return float(normalized_mutual_info_score(mdata.obs[labels], clusters, average_method="geometric"))


def command(*arguments: str | os.PathLike[str]) -> tuple[int, str]:
    """Exit code and output of a command of scmoe."""
    from typer.testing import CliRunner

    from scmoe.cli import app

    result = CliRunner().invoke(app, [str(each) for each in arguments])
    crash = result.exception if isinstance(result.exception, Exception) else None
    return result.exit_code, first_line(crash) if crash else " ".join(result.output.split())
