"""Made-up data with things of a user's own in it, and tiny models, each made once and given out as copies."""

import contextlib
import functools
import logging
import shutil
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anndata as ad
import mudata
import numpy as np
import pandas as pd
from mudata import MuData
from scipy import sparse

import scmoe
from battery.leaves import flatten

N_CELLS, N_GENES, N_PROTEINS = 96, 24, 6
KINDS = ("B", "NK", "T")
NETWORK: dict[str, Any] = {
    **{"n_hidden": 8, "n_heads": 2, "n_experts": 3, "n_tokens": 2, "n_programs": 4},
    **{"expert_hidden": 8, "decoder_hidden": 8},
}
GENE_NETWORK: dict[str, Any] = {
    **{"encoder_layers": 1, "encoder_heads": 2, "encoder_width": 8, "decoder_heads": 2, "decoder_width": 8},
    **{"n_bins": 6},
}
TRAIN: dict[str, Any] = {"accelerator": "cpu", "batch_size": 32, "enable_progress_bar": False}
SETUP: dict[str, Any] = {"labels_key": "kind", "batch_key": "batch"}

LIST = "result_paths"


class World:
    """What a case may use.

    Data are copies that the case may change; `changes` says what it changed that was there before. Models are shared
    and not to be trained further; `folder` is a copy of a saved one.

    Parameters
    ----------
    root
        An empty folder for files.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.tmp = root
        self._lent: list[tuple[str, Any]] = []
        self._idle: dict[str, list[Any]] = {}

    def begin(self, number: int) -> None:
        """Forget the data of the case before; the next one has an empty folder of its own."""
        self._lent = []
        shutil.rmtree(self.tmp, ignore_errors=True) if self.tmp != self.root else None
        self.tmp = self.root / f"case{number}"
        self.tmp.mkdir()

    def changes(self) -> list[str]:
        """Paths of what was in the data and is altered or gone; untouched data are lent again."""
        altered = []
        for name, data in self._lent:
            before, after = self._contents(name), contents(data)
            # The list of what was written is ours to keep.
            wrong = [path for path, value in before.items() if after.get(path) != value and LIST not in path]
            if not wrong and before.keys() == after.keys():
                self._idle.setdefault(name, []).append(data)
            altered += wrong
        return altered

    def mdata(self, name: str = "prepared") -> Any:
        """A copy of one of `DATA`; its changes are looked for after the case."""
        idle = self._idle.get(name)
        data = idle.pop() if idle else self.copy(name)
        self._lent.append((name, data))
        return data

    def copy(self, name: str = "prepared") -> Any:
        """A copy of one of `DATA` that the case itself will change."""
        with quiet():
            return self._original(name).copy()

    @functools.cache  # noqa: B019 - one world lives as long as the program
    def _original(self, name: str) -> Any:
        with quiet():
            return DATA[name](self)

    @functools.cache  # noqa: B019
    def _contents(self, name: str) -> dict[str, Any]:
        return contents(self._original(name))

    @functools.cached_property
    def model(self) -> Any:
        """A trained `SCMOE` with labels and batches."""
        return fit(self.copy(), setup=SETUP)

    @functools.cached_property
    def plain_model(self) -> Any:
        """A trained `SCMOE` without labels and batches."""
        return fit(self.copy())

    @functools.cached_property
    def clustering_model(self) -> Any:
        """A trained `SCMOE` with a clustering head."""
        return fit(self.copy(), network={"n_clusters": 3})

    @functools.cached_property
    def gene_model(self) -> Any:
        """A trained `XTRIMOGENE` with a head for labels."""
        model = self.untrained_genes()
        with quiet():
            model.train(max_epochs=1, **{**TRAIN, "batch_size": 16})
        return model

    @functools.cached_property
    def tuned_model(self) -> Any:
        """The gene model, fine-tuned to labels."""
        with quiet():
            return self.gene_model.fine_tune(
                "kind", max_epochs=1, batch_size=16, enable_progress_bar=False, accelerator="cpu"
            )

    def untrained(self, **network: Any) -> Any:
        """A new `SCMOE` that is set up and not trained."""
        data = self.mdata()
        with quiet():
            scmoe.model.SCMOE.setup_mudata(data, **SETUP)
            return scmoe.model.SCMOE(data, **{**NETWORK, **network})

    def untrained_genes(self) -> Any:
        """A new `XTRIMOGENE` that is set up and not trained."""
        adata = self.copy("genes")
        with quiet():
            scmoe.model.XTRIMOGENE.setup_anndata(adata)
            return scmoe.model.XTRIMOGENE(adata, **GENE_NETWORK)

    @functools.cached_property
    def _saved(self) -> Path:
        with quiet():
            self.model.save(self.root / "saved")
        return self.root / "saved"

    @functools.cached_property
    def _saved_genes(self) -> Path:
        with quiet():
            self.gene_model.save(self.root / "saved_genes")
        return self.root / "saved_genes"

    def folder(self, name: str = "model", *, genes: bool = False) -> Path:
        """A copy of the saved model, of this name."""
        return Path(shutil.copytree(self._saved_genes if genes else self._saved, self.tmp / name))

    def file(self, name: str = "prepared") -> Path:
        """A file with one of `DATA`, not to be changed."""
        path = self.root / f"{name}.h5mu"
        if not path.exists():
            with quiet():
                self.copy(name).write(path)
        return path

    def atlas(self) -> Path:
        """A folder with one store, not to be changed."""
        path = self.root / "atlas" / "raw.zarr"
        if not path.exists():
            with quiet():
                scmoe.datasets.write(self.copy("raw"), path)
        return path.parent

    def checkpoint(self) -> Path:
        """A copy of a folder with the checkpoint of a training of 2 epochs."""
        source = self.root / "checkpoint"
        if not source.exists():
            with quiet():
                self.untrained().train(max_epochs=2, checkpoint_dir=source, **TRAIN)
        return Path(shutil.copytree(source, self.tmp / "checkpoint"))


def fit(mdata: MuData, *, setup: Any = None, network: Any = None, **train_kwargs: Any) -> Any:
    """A tiny `SCMOE`, trained for two epochs."""
    with quiet():
        scmoe.model.SCMOE.setup_mudata(mdata, **(setup or {}))
        model = scmoe.model.SCMOE(mdata, **{**NETWORK, **(network or {})})
        model.train(**{**TRAIN, "max_epochs": 2, **train_kwargs})
    return model


def tl_train(mdata: MuData, **kwargs: Any) -> Any:
    """`scmoe.tl.train` of a tiny network for one epoch."""
    train_kwargs = {**TRAIN, **kwargs.pop("train_kwargs", {})}
    return scmoe.tl.train(mdata, train_kwargs=train_kwargs, **{**NETWORK, "max_epochs": 1, **kwargs})


def write(data: Any, path: Path) -> None:
    """Write to a file; versions without a writer leave that to mudata."""
    with quiet():
        getattr(scmoe.datasets, "write", type(data).write)(data, path)


def raw(world: World | None = None) -> MuData:
    """Counts of "rna" (CSR) and "adt" (dense), of three kinds of cell, and things of the user's own."""
    rng = np.random.default_rng(0)
    kind = np.arange(N_CELLS) % 3
    cells = np.array([f"cell{i}" for i in range(N_CELLS)])
    depth = rng.uniform(0.7, 1.3, (N_CELLS, 1))
    counts = {}
    for prefix, n, level in (("gene", N_GENES, 1.0), ("CD", N_PROTEINS, 8.0)):
        rate = np.where(np.arange(n) % 3 == np.arange(3)[:, None], 6 * level, level)[kind] * depth
        features = pd.DataFrame(index=[f"{prefix}{i}" for i in range(n)])
        counts[prefix] = ad.AnnData(rng.poisson(rate).astype(np.float32), obs=pd.DataFrame(index=cells), var=features)
    counts["gene"].X = sparse.csr_matrix(counts["gene"].X)
    counts["gene"].layers["mine"] = counts["gene"].X.copy()
    mdata = MuData({"rna": counts["gene"], "adt": counts["CD"]})
    mdata.obs["kind"] = pd.Categorical(np.array(KINDS)[kind])
    mdata.obs["batch"] = pd.Categorical(np.where(np.arange(N_CELLS) % 2, "donor1", "donor2"))
    mdata.obs["quarter"] = [f"d{i % 4}" for i in range(N_CELLS)]
    mdata.obs["half"] = [f"h{i % 2}" for i in range(N_CELLS)]
    mdata.obs["age"] = rng.normal(50, 5, N_CELLS)
    mdata.obs["note"] = [f"note {i}" for i in range(N_CELLS)]
    mdata.obsm["X_mine"] = rng.normal(size=(N_CELLS, 2))
    mdata.obsm["spatial"] = rng.uniform(size=(N_CELLS, 2))
    mdata.uns["mine"] = {"who": "me"}
    return mdata


def prepared(world: World) -> MuData:
    mdata = raw()
    scmoe.pp.prepare(mdata)
    mdata.uns["scmoe"]["remark"] = "mine, too"
    return mdata


def mosaic(world: World) -> MuData:
    """Prepared; the first 32 cells lack "adt", the last 32 "rna"."""
    full = prepared(world)
    mdata = MuData({"rna": full["rna"][:64].copy(), "adt": full["adt"][32:].copy()})
    for name in ("kind", "batch", "quarter", "half"):
        mdata.obs[name] = full.obs[name].reindex(mdata.obs_names)
    mdata.uns["scmoe"] = full.uns["scmoe"]
    return mdata


def results(world: World) -> MuData:
    """Prepared, with what every verb writes."""
    mdata, tl = prepared(world), scmoe.tl
    model = tl_train(mdata, **SETUP)
    tl.impute(mdata, model, source="rna", target="adt")
    tl.denoise(mdata, model, modality="rna")
    tl.cluster(mdata, n_clusters=3, method="kmeans")
    tl.ablation(mdata, model, groupby="kind")
    tl.attention(mdata, model, groupby="kind")
    tl.attribute(mdata, model, groupby="kind", n_steps=2, n_cells=12)
    tl.deletion(mdata, model, groupby="kind", n_steps=2, n_cells=12)
    tl.expert_usage(mdata, model, groupby="kind", n_permutations=9)
    tl.expert_cards(mdata, model, groupby="kind", n_permutations=9)
    tl.expert_stability(mdata, {"a": model, "b": world.plain_model}, n_permutations=9)
    tl.gradient_conflict(mdata, model, definition="target", n_batches=2, batch_size=16)
    tl.tcav(mdata, model, groupby="kind", gene_sets={"set": ["gene0", "gene3", "gene6"]}, n_random=3)
    tl.markers(mdata, groupby="kind")
    return mdata


def new_batch(world: World) -> MuData:
    """Prepared; half of the cells are of a batch that the model does not know."""
    mdata = prepared(world)
    mdata.obs["batch"] = np.where(mdata.obs["batch"] == "donor1", "donor1", "donor9")
    return mdata


def bare(world: World) -> MuData:
    """Prepared, without the record of it, as `anndata.concat` and other tools leave it."""
    mdata = prepared(world)
    del mdata.uns["scmoe"]
    return mdata


def genes(world: World) -> ad.AnnData:
    adata = raw()["rna"].copy()
    adata.obs["kind"] = pd.Categorical(np.array(KINDS)[np.arange(N_CELLS) % 3])
    return adata


DATA: dict[str, Callable[[World], Any]] = {
    "raw": raw,
    "prepared": prepared,
    "mosaic": mosaic,
    "results": results,
    "new_batch": new_batch,
    "bare": bare,
    "genes": genes,
}


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Nothing pulled by mudata, no warnings and no log, for what is not judged."""
    logger = logging.getLogger("scmoe")
    level = logger.level
    logger.setLevel("ERROR")
    try:
        with warnings.catch_warnings(), nothing_pulled():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def nothing_pulled() -> contextlib.AbstractContextManager[Any]:
    if hasattr(mudata, "settings"):
        return mudata.settings.override(pull_on_update=False)
    return mudata.set_options(pull_on_update=False)


def contents(data: Any) -> dict[str, Any]:
    """What is in data, by path, without what is of mudata's and scvi-tools' own."""
    return {
        path: leaf
        for path, leaf in flatten(data).items()
        if not path.startswith(("obsmap", "varmap")) and not any(part.startswith("_scvi") for part in path.split("/"))
    }
