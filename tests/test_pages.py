"""The pages of docs/my_data and the first Python of the README run as they stand, and log what they say.

Each page gets a folder with stand-ins for the files that it reads. Trainings are cut to a few epochs.
"""

import logging
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

import anndata as ad
import h5py
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from mudata import MuData
from scipy import sparse
from typer.testing import CliRunner

import scmoe
from scmoe.cli import app
from scmoe.io._quiet import quiet_mudata

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs" / "my_data").glob("[!i]*.md"))
FENCE = re.compile(r"^```(python|bash|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LONGEST_PAGE, LONGEST_CORE = 15, 5
"""Lines of code of a page, and of its first block without imports."""
N_CELLS, N_EPOCHS = 160, 3
WILDCARD = "…"
TYPES = np.arange(N_CELLS) % 4
BATCHES = np.where(np.arange(N_CELLS) < N_CELLS / 2, "donor1", "donor2")
CELLS = [f"{''.join('ACGT'[(i >> 2 * k) & 3] for k in range(8))}-1" for i in range(N_CELLS)]


def counts(n_features: int, level: float, seed: int = 0) -> np.ndarray:
    """Counts of four kinds of cells."""
    rng = np.random.default_rng(seed)
    rates = level * np.exp(rng.normal(0, 1, (4, n_features)))
    return rng.poisson(rates[TYPES]).astype(np.float32)


def features(names: list[str], values: np.ndarray, type_: str | None = None) -> ad.AnnData:
    var = pd.DataFrame(index=names) if type_ is None else pd.DataFrame({"feature_types": type_}, index=names)
    return ad.AnnData(sparse.csr_matrix(values), obs=pd.DataFrame(index=CELLS), var=var)


def genes() -> ad.AnnData:
    return features([f"GENE{i}" for i in range(120)], counts(120, 1.0), "Gene Expression")


def proteins() -> ad.AnnData:
    return features([f"CD{i}" for i in range(1, 21)], counts(20, 20.0, seed=1), "Antibody Capture")


def peaks() -> ad.AnnData:
    names = [f"chr1:{1000 * i}-{1000 * i + 500}" for i in range(1, 151)]
    return features(names, counts(150, 0.3, seed=2), "Peaks")


def hashtags() -> ad.AnnData:
    rng = np.random.default_rng(3)
    values = rng.poisson(3, (N_CELLS, 2)).astype(np.float32)
    tag = np.arange(N_CELLS) % 2
    values[np.arange(N_CELLS), tag] += rng.poisson(300, N_CELLS)
    return features(["Hashtag_1", "Hashtag_2"], values, "Antibody Capture")


def cite_seq() -> MuData:
    """Labels and donors beside genes and proteins."""
    with quiet_mudata():
        mdata = MuData({"rna": genes(), "adt": proteins()})
    mdata.obs["cell_type"] = pd.Categorical(np.array(["B", "NK", "T", "monocyte"])[TYPES])
    mdata.obs["donor"] = pd.Categorical(BATCHES)
    return mdata


def write_10x(path: str, *mods: ad.AnnData) -> None:
    """A file as Cell Ranger writes it."""
    adata = ad.concat(mods, axis=1)
    types = [str(name) for each in mods for name in each.var["feature_types"]]
    with h5py.File(path, "w") as file:
        group = file.create_group("matrix")
        matrix = adata.X.tocsr().astype(np.int32)
        for name in ("data", "indices", "indptr"):
            group[name] = getattr(matrix, name)
        group["shape"] = np.array(matrix.shape[::-1])
        group["barcodes"] = np.array(CELLS, dtype="S")
        columns = {"id": adata.var_names, "name": adata.var_names, "feature_type": types}
        for name, values in {**columns, "genome": ["GRCh38"] * adata.n_vars}.items():
            group[f"features/{name}"] = np.array(list(values), dtype="S")


def two_panels() -> None:
    mdata = cite_seq()
    for donor, panel in (("donor1", slice(0, 16)), ("donor2", slice(4, 20))):
        rows = BATCHES == donor
        part = MuData({"rna": mdata["rna"][rows].copy(), "adt": mdata["adt"][rows, panel].copy()})
        scmoe.datasets.write(part, f"{donor}.h5mu")


def patch_seq() -> None:
    genes().write_h5ad("counts.h5ad")
    values = np.random.default_rng(4).normal(TYPES[:, None], 1, (N_CELLS, 8))
    table = pd.DataFrame(values, index=CELLS, columns=[f"feature{i}" for i in range(8)])
    table.iloc[3, 2] = np.nan
    table.iloc[:120].to_csv("ephys.csv")


def spatial() -> None:
    adata = genes()
    adata.obs["slice"] = pd.Categorical(np.where(BATCHES == "donor1", "slice1", "slice2"))
    adata.obsm["spatial"] = np.random.default_rng(5).random((N_CELLS, 2))
    adata.write_h5ad("slices.h5ad")


def analysis() -> ad.AnnData:
    """What a pipeline of scanpy leaves: counts in a layer, variable genes, scaled X."""
    adata = genes()
    adata.obs["sample"] = pd.Categorical(BATCHES)
    adata.layers["counts"] = adata.X.copy()
    sc.pp.normalize_total(adata)
    sc.pp.log1p(adata)
    sc.pp.highly_variable_genes(adata, n_top_genes=60)
    return adata


def scanpy_file() -> None:
    adata = analysis()
    sc.pp.scale(adata)
    adata.write_h5ad("analysis.h5ad")


def muon_file() -> None:
    with quiet_mudata():
        mdata = MuData({"rna": analysis(), "atac": peaks()})
        mdata["atac"].var["highly_variable"] = np.arange(150) < 100
        mdata.write_h5mu("muon.h5mu")


def reference_and_query() -> None:
    mdata = cite_seq()
    scmoe.datasets.write(mdata, "reference.h5mu")
    query = genes()
    query.obs["donor"] = "donor3"
    query[:60].copy().write_h5ad("query.h5ad")


STAND_INS: dict[str, Callable[[], None]] = {
    "cite_seq": lambda: write_10x("sample.h5", genes(), proteins(), hashtags()),
    "two_panels": two_panels,
    "multiome": lambda: write_10x("filtered_feature_bc_matrix.h5", genes(), peaks()),
    "patch_seq": patch_seq,
    "spatial": spatial,
    "scanpy": scanpy_file,
    "muon": muon_file,
    "rna_query": reference_and_query,
    "markers": lambda: scmoe.datasets.write(cite_seq(), "sample.h5mu"),
    "command_line": reference_and_query,
}


def blocks(path: Path) -> list[tuple[str, str]]:
    """Language and text of each fenced block."""
    return FENCE.findall(path.read_text(encoding="utf-8"))


def run_commands(text: str) -> None:
    for line in text.replace("\\\n", " ").splitlines():
        program, *arguments = shlex.split(line, comments=True)
        assert program == "scmoe"
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 0, f"{line}\n{result.output}"


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Lines of the log, as they are printed."""
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(f"scmoe: {record.getMessage()}")  # type: ignore[method-assign]
    logging.getLogger("scmoe").addHandler(handler)
    yield lines
    logging.getLogger("scmoe").removeHandler(handler)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setattr("scmoe.model._training.default_epochs", lambda *_: N_EPOCHS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(plt, "show", lambda *_, **__: None)
    yield
    plt.close("all")


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_pages_run_and_the_log_says_what_they_say(page: Path, log: list[str]) -> None:
    STAND_INS[page.stem]()
    namespace: dict[str, object] = {}
    for language, text in blocks(page):
        if language == "python":
            exec(compile(text, page.name, "exec"), namespace)
        elif language == "bash":
            run_commands(text)
        else:
            for line in text.splitlines():
                pattern = re.compile(".*".join(map(re.escape, line.split(WILDCARD))))
                assert any(map(pattern.fullmatch, log)), f"{page.name}: not in the log: {line}\n" + "\n".join(log)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_pages_are_short(page: Path) -> None:
    code = [text.replace("\\\n", " ").splitlines() for language, text in blocks(page) if language != "text"]
    lines = [[line for line in block if line and not line.startswith(("import", "from", "#"))] for block in code]
    assert sum(map(len, code)) <= LONGEST_PAGE and len(lines[0]) <= LONGEST_CORE


def test_every_page_is_linked_and_has_a_stand_in() -> None:
    index = (ROOT / "docs" / "my_data" / "index.md").read_text(encoding="utf-8")
    names = {page.stem for page in PAGES}
    assert names == set(STAND_INS) and all(f"({name}.md)" in index for name in names)


@pytest.mark.slow
def test_the_first_python_of_the_readme_runs() -> None:
    text = next(text for language, text in blocks(ROOT / "README.md") if language == "python")
    query = scmoe.datasets.bmmc_cite()[:60].copy()
    scmoe.pp.prepare(query)
    exec(compile(text, "README.md", "exec"), {"query": query})
