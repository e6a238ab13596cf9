"""Files, models and checkpoints between versions of the libraries.

``python tests/data/exchange.py write FOLDER`` writes them with this environment's libraries, as users write theirs;
``python tests/data/exchange.py read FOLDER`` reads what another environment wrote, compares the values, writes them
again, and prints a row for each. ``nox -s exchange`` does both in both directions. ``tests/data/files`` holds small
files made by ``python tests/data/exchange.py pack NAME.tar.xz``.
"""

import json
import logging
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata as ad
import mudata
import numpy as np
import pandas as pd
from lightning.pytorch import Callback
from scipy import sparse

import scmoe
from scmoe.io._quiet import quiet_mudata

N_CELLS, N_GENES, N_PROTEINS = 24, 12, 5
NETWORK = {
    **{"n_hidden": 16, "n_heads": 2, "n_experts": 4, "n_tokens": 2, "n_programs": 4},
    **{"expert_hidden": 16, "decoder_hidden": 16},
}
TRAIN: dict[str, Any] = {"accelerator": "cpu", "batch_size": 8, "enable_progress_bar": False}
EPOCHS = 3
FILES = ("cells.h5mu", "cells.zarr", "rna.h5ad", "rna.zarr")
ROUNDING = 1e-4
"""Largest difference of outputs of one model between versions of torch."""
EXPECTED = "expected.json"


class Stop(Callback):
    """Stops in the middle of the second epoch."""

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Raise."""
        if trainer.current_epoch == 1:
            raise RuntimeError("power cut")


def cells() -> mudata.MuData:
    """Counts with columns of every type that files hold, prepared."""
    rng = np.random.default_rng(0)
    names = pd.Index([f"cell{i}" for i in range(N_CELLS)], name="barcode")
    kind = np.arange(N_CELLS) % 3
    rna = rng.poisson(np.where(np.arange(N_GENES) % 3 == kind[:, None], 6.0, 0.7)).astype(np.float32)
    adt = rng.poisson(np.where(np.arange(N_PROTEINS) % 3 == kind[:, None], 40.0, 5.0)).astype(np.float32)
    obs = pd.DataFrame(index=names)
    obs["cell_type"] = pd.Categorical(np.array(["B", "NK", "T"])[kind])
    obs["stage"] = pd.Categorical(np.array(["late", "early"])[kind % 2], ["early", "late"], ordered=True)
    obs["donor"] = [f"donor {i % 2}" for i in range(N_CELLS)]
    obs["note"] = pd.array([None if i % 5 == 0 else f"note {i}" for i in range(N_CELLS)], dtype=object)
    obs["passage"] = pd.array([None if i % 4 == 0 else i for i in range(N_CELLS)], dtype="Int64")
    obs["dead"] = pd.array([None if i % 4 == 1 else i % 2 == 0 for i in range(N_CELLS)], dtype="boolean")
    mods = {
        "rna": ad.AnnData(sparse.csr_matrix(rna), obs=obs.copy(), var=features("gene", N_GENES)),
        "adt": ad.AnnData(adt, obs=pd.DataFrame(index=names), var=features("protein", N_PROTEINS)),
    }
    mods["rna"].raw = mods["rna"].copy()
    with quiet_mudata():
        mdata = mudata.MuData(mods)
        mdata.obs = obs
        scmoe.pp.prepare(mdata)
    return mdata


def features(prefix: str, n: int) -> pd.DataFrame:
    """Names with a column of text."""
    names = [f"{prefix}{i}" for i in range(n)]
    return pd.DataFrame({"symbol": [name.upper() for name in names]}, index=pd.Index(names))


def train(mdata: mudata.MuData) -> Any:
    """A tiny model, with its results in the data."""
    settings = {"labels_key": "cell_type", "batch_key": "donor", "max_epochs": EPOCHS}
    return scmoe.tl.train(mdata, train_kwargs={**TRAIN, "train_size": 0.75}, **settings, **NETWORK)


def fit(mdata: mudata.MuData, folder: Path, **settings: Any) -> Any:
    """A tiny model with checkpoints."""
    scmoe.model.SCMOE.setup_mudata(mdata, batch_key="donor")
    model = scmoe.model.SCMOE(mdata, **NETWORK)
    model.train(EPOCHS, checkpoint_dir=folder, **TRAIN, **settings)
    return model


def write(folder: Path) -> None:
    """Write files with the libraries' own functions, a model folder, a checkpoint, and what they should hold."""
    mdata = cells()
    model = train(mdata)
    write_files(mdata, folder)
    model.save(folder / "model")
    again = cells()
    try:
        fit(again, folder / "checkpoint", callbacks=[Stop()])
    except RuntimeError as error:
        assert str(error) == "power cut"
    expected = {
        "model": model.get_latent_representation().tolist(),
        "checkpoint": fit(cells(), folder / "whole").get_latent_representation().tolist(),
    }
    shutil.rmtree(folder / "whole")
    (folder / "outputs.json").write_text(json.dumps(expected))


def write_files(mdata: mudata.MuData, folder: Path) -> None:
    """Write data as their users do, and what they hold as text."""
    with quiet_mudata():
        mdata.write_h5mu(folder / "cells.h5mu")
        mdata.write_zarr(folder / "cells.zarr")
        rna = mdata["rna"].copy()
        rna.obs = mdata.obs.loc[rna.obs_names].copy()
        rna.write_h5ad(folder / "rna.h5ad")
        rna.write_zarr(folder / "rna.zarr")
    (folder / EXPECTED).write_text(json.dumps({name: describe(scmoe.datasets.read(folder / name)) for name in FILES}))


def describe(data: Any) -> Any:
    """All values as plain JSON, without their types in memory."""
    if isinstance(data, mudata.MuData):
        parts = {"obs": data.obs, "var": data.var, "uns": data.uns, "obsm": data.obsm}
        return {"mod": {name: describe(each) for name, each in data.mod.items()}} | describe(parts)
    if isinstance(data, ad.AnnData):
        layers = {name: each for name, each in data.layers.items() if name is not None}
        return describe(
            {"X": data.X, "obs": data.obs, "var": data.var, "uns": data.uns, "obsm": data.obsm, "layers": layers}
            | ({"raw": data.raw.X, "raw var": data.raw.var} if data.raw is not None else {})
        )
    if isinstance(data, pd.DataFrame):
        return {"index": data.index.tolist(), **{str(name): describe(data[name]) for name in data}}
    if isinstance(data, pd.Series):
        return [None if gap else describe(value) for value, gap in zip(data.tolist(), data.isna(), strict=True)]
    if hasattr(data, "items"):
        return {str(name): describe(each) for name, each in data.items()}
    if sparse.issparse(data):
        return describe(data.toarray())
    if isinstance(data, np.ndarray):
        return describe(data.tolist())
    if isinstance(data, list):
        return [describe(each) for each in data]
    if isinstance(data, np.generic):
        return data.item()
    return None if isinstance(data, float) and np.isnan(data) else data


def read(folder: Path) -> list[tuple[str, str, str]]:
    """Rows of what was read, whether it holds what was written, and whether it can be written again."""
    expected = json.loads((folder / EXPECTED).read_text())
    rows = [(name, *attempt(lambda name=name: file_is_equal(folder / name, expected[name]))) for name in FILES]
    if not (folder / "outputs.json").exists():
        return rows
    outputs = json.loads((folder / "outputs.json").read_text())
    for name, run in (("model", load), ("checkpoint", resume)):
        rows.append((name, *attempt(lambda run=run, name=name: (apart(run(folder / name), outputs[name]), "yes"))))
    return rows


def attempt(run: Callable[[], tuple[str, str]]) -> tuple[str, str]:
    """What a step says, or its error."""
    try:
        return run()
    except Exception as error:  # noqa: BLE001, whatever goes wrong is a cell of the table
        return f"{type(error).__name__}: {error}", "no"


def file_is_equal(path: Path, expected: Any) -> tuple[str, str]:
    """Compare a file with what was written, and write it again in both formats."""
    mdata = scmoe.datasets.read(path)
    found = describe(mdata)
    with tempfile.TemporaryDirectory() as other:
        for suffix in (".h5mu", ".zarr"):
            again = Path(other) / f"again{suffix}"
            scmoe.datasets.write(mdata, again)
            if describe(scmoe.datasets.read(again)) != found:
                return "equal" if found == expected else "differs", f"{suffix} differs"
    return "equal" if found == expected else "differs", "yes"


def load(folder: Path) -> np.ndarray:
    """The embedding of a saved model, which is saved again."""
    model = scmoe.model.SCMOE.load(folder)
    with tempfile.TemporaryDirectory() as other:
        model.save(Path(other) / "model")
        again = scmoe.model.SCMOE.load(Path(other) / "model")
    return again.get_latent_representation(cells())


def resume(folder: Path) -> np.ndarray:
    """The embedding after an interrupted training has gone on, in a copy of the folder."""
    with tempfile.TemporaryDirectory() as other:
        shutil.copytree(folder, Path(other) / "checkpoint")
        return fit(cells(), Path(other) / "checkpoint", resume=True).get_latent_representation()


def apart(found: np.ndarray, expected: list) -> str:
    """How far outputs are from those written."""
    difference = float(np.abs(found - np.array(expected)).max())
    return "equal" if difference <= ROUNDING else f"differs by {difference:.1e}"


def pack(archive: Path) -> None:
    """Write the files, without model and checkpoint, into one archive."""
    with tempfile.TemporaryDirectory() as folder:
        mdata = cells()
        train(mdata)
        mdata.uns["scmoe"] = {name: mdata.uns["scmoe"][name] for name in ("prepare", "annotation", "history")}
        write_files(mdata, Path(folder))
        shutil.make_archive(str(archive).removesuffix(".tar.xz"), "xztar", folder)


def main(task: str, path: Path) -> int:
    """Run a task."""
    logging.getLogger("scmoe").setLevel(logging.WARNING)
    warnings.simplefilter("ignore")
    if task == "pack":
        pack(path)
        return 0
    if task == "write":
        path.mkdir(parents=True, exist_ok=True)
        write(path)
        return 0
    rows = read(path)
    for name, values, again in rows:
        print(f"| {name} | {values} | {again} |")
    return sum(values != "equal" or again != "yes" for _, values, again in rows)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2])))
