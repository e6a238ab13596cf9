"""Files of other tools, written by the tools themselves.

``python tests/data/foreign.py write FOLDER``, in an environment with some of snapatac2, tiledbsoma and
kb_python, writes a file with each tool that is there; scmoe is not needed. ``python tests/data/foreign.py read
FOLDER``, in an environment with scmoe, reads and prepares them, compares counts and names, and prints a row for each.
"""

import json
import sys
import tempfile
import warnings
from collections.abc import Callable
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from scipy import io, sparse

N_CELLS, N_FEATURES = 40, 30
COUNTS = np.random.default_rng(0).poisson(0.7, (N_CELLS, N_FEATURES)).astype(np.float32)
CELLS = [f"AAAC{i:04d}-1" for i in range(N_CELLS)]
EXPECTED = "expected.json"


def snapatac2(path: Path) -> list[str]:
    """A matrix of peaks."""
    import snapatac2 as snap

    peaks = [f"chr{i % 3 + 1}:{500 * i}-{500 * i + 500}" for i in range(N_FEATURES)]
    cells = snap.AnnData(
        filename=str(path), X=sparse.csr_matrix(COUNTS.astype(np.uint32)), obs={"n": list(range(N_CELLS))}
    )
    cells.obs_names, cells.var_names = CELLS, peaks
    cells.close()
    return peaks


def tiledbsoma(path: Path) -> list[str]:
    """An experiment, with categories and gaps, exported to AnnData."""
    import tiledbsoma.io

    genes = [f"ENSG{i:011d}" for i in range(N_FEATURES)]
    obs = pd.DataFrame(
        {
            "cell_type": pd.Categorical(["T", None, "B", "T"] * (N_CELLS // 4)),
            "passage": pd.array([1, None, 3, 4] * (N_CELLS // 4), dtype="Int64"),
        },
        index=CELLS,
    )
    cells = ad.AnnData(sparse.csr_matrix(COUNTS), obs=obs, var=pd.DataFrame(index=genes))
    with tempfile.TemporaryDirectory() as folder:
        tiledbsoma.io.from_anndata(f"{folder}/soma", cells, measurement_name="RNA")
        with tiledbsoma.Experiment.open(f"{folder}/soma") as experiment:
            tiledbsoma.io.to_anndata(experiment, measurement_name="RNA").write_h5ad(path)
    return genes


def kb_python(path: Path) -> list[str]:
    """Matrices of mature, nascent and ambiguous molecules, which become one AnnData."""
    from kb_python.utils import import_matrix_as_anndata, overlay_anndatas

    genes = [f"ENSG{i:011d}.{i}" for i in range(N_FEATURES)]
    third = np.floor(COUNTS / 3)
    parts = []
    with tempfile.TemporaryDirectory() as folder:
        for name, values in (("cells", CELLS), ("genes", genes)):
            Path(folder, name).write_text("\n".join(values) + "\n")
        for values in (COUNTS - 2 * third, third, third):
            io.mmwrite(f"{folder}/matrix.mtx", sparse.coo_matrix(values))
            parts.append(import_matrix_as_anndata(f"{folder}/matrix.mtx", f"{folder}/cells", f"{folder}/genes"))
        overlay_anndatas(*parts).write_h5ad(path)
    return genes


TOOLS: dict[str, Callable[[Path], list[str]]] = {
    function.__name__: function for function in (snapatac2, tiledbsoma, kb_python)
}


def write(folder: Path) -> int:
    """Write a file with each tool that is installed."""
    folder.mkdir(parents=True, exist_ok=True)
    known = folder / EXPECTED
    expected = json.loads(known.read_text()) if known.exists() else {}
    n_failed = 0
    for name, make in TOOLS.items():
        if find_spec(name) is None:
            continue
        path = folder / f"{name}.h5ad"
        path.unlink(missing_ok=True)
        try:
            expected[name] = {"features": make(path), "version": f"{version(name)}, anndata {ad.__version__}"}
        except Exception as error:  # noqa: BLE001, whatever goes wrong is a row
            print(f"| {name} {version(name)} | {type(error).__name__}: {error} |")
            n_failed += 1
    known.write_text(json.dumps(expected))
    return n_failed


def read(folder: Path) -> int:
    """Read the files, prepare them, and compare."""
    import scmoe
    from scmoe._matrix import dense

    n_failed = 0
    for name, entry in json.loads((folder / EXPECTED).read_text()).items():
        mdata = scmoe.datasets.read(folder / f"{name}.h5ad", modality="peaks" if name == "snapatac2" else "rna")
        scmoe.pp.prepare(mdata)
        adata = next(iter(mdata.mod.values()))
        kind = mdata.uns["scmoe"]["prepare"][next(iter(mdata.mod))]["kind"]
        is_right = (
            kind == ("peaks" if name == "snapatac2" else "rna")
            and list(adata.obs_names) == CELLS
            and list(adata.var_names) == entry["features"]
            and np.array_equal(dense(adata.layers["counts"]), COUNTS)
        )
        with tempfile.TemporaryDirectory() as other:
            for suffix in (".h5mu", ".zarr"):
                scmoe.datasets.write(mdata, Path(other) / f"again{suffix}")
        print(f"| {name} {entry['version']} | {kind} | {'as written' if is_right else 'differs'} |")
        n_failed += not is_right
    return n_failed


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    sys.exit({"write": write, "read": read}[sys.argv[1]](Path(sys.argv[2])))
