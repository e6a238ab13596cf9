"""Rows A5 and A7 to A15: what scmoe does with a file or a habit, in words.

Each function yields the lines of one input. The second argument of `words` is what commit f6ec5a7 did.
"""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anndata as ad
import h5py
import numpy as np
import pandas as pd
from lines import Line, command, dense, first_line, log_lines, made, prepared, train, warnings_of, words
from mudata import MuData
from scipy import sparse

import scmoe

LONGEST = 160
"""Characters of a message that the table shows."""


def said(action: Callable[[], Any]) -> str:
    """The error that an action raises, or else the warnings that it logs."""
    with log_lines() as log:
        try:
            action()
        except Exception as error:  # noqa: BLE001 - what it raises is the result
            return first_line(error)
    return warnings_of(log)


def short(text: str) -> str:
    """The start of a message."""
    return text if len(text) <= LONGEST else text[:LONGEST].rstrip() + " …"


def joined_by_type(mdata: MuData) -> ad.AnnData:
    """All modalities in one AnnData, told apart by var["feature_types"]."""
    types = {"rna": "Gene Expression", "adt": "Antibody Capture"}
    adata = ad.concat(list(mdata.mod.values()), axis=1)
    adata.var["feature_types"] = [types[name] for name in mdata.mod for _ in range(mdata[name].n_vars)]
    adata.obs = mdata.obs.copy()
    return adata


def types_with_gaps() -> Iterator[Line]:
    """feature_types partly NaN"""
    adata = joined_by_type(made())
    adata.var["feature_types"] = adata.var["feature_types"].where(np.arange(adata.n_vars) % 10 > 0)
    with tempfile.TemporaryDirectory() as folder:
        adata.write_h5ad(file := Path(folder) / "cells.h5ad")
        message = said(lambda: scmoe.datasets.read(file))
        mods = [] if "Error" in message else list(scmoe.datasets.read(file).mod)
    today = f"{', '.join(mods)}; {message}".lstrip("; ")
    right = "an error or a warning that names features"
    yield words("read", 'a modality "nan"', short(today), right, "Gene0" in today and "nan" not in mods)


def repeated_barcodes() -> Iterator[Line]:
    """The same barcodes in two samples"""
    mdata = made()
    first, second = slice(None), slice(250)
    rna = ad.concat([mdata["rna"][first], mdata["rna"][second]])
    adt = ad.concat([mdata["adt"][50:], mdata["adt"][second]])
    today = said(lambda: train(prepared(MuData({"rna": rna, "adt": adt})), max_epochs=1))
    met = "Error" in today and any(word in today for word in ("prefix", "sample")) and "make_unique" not in today
    yield words("prepare", "advises obs_names_make_unique(): 50 wrong pairs", short(today), "advises a prefix", met)


def barcode_suffix() -> Iterator[Line]:
    """No cell in common: a suffix -1"""
    mdata = made()
    adt = mdata["adt"].copy()
    adt.obs_names = adt.obs_names + "-1"
    today = said(lambda: train(prepared(MuData({"rna": mdata["rna"], "adt": adt})), max_epochs=1))
    yield words(
        "prepare, train", "600 cells, no warning", short(today), "a warning that names the suffix", "-1" in today
    )


def _write_10x_v2(path: Path, genomes: list[str]) -> None:
    """A file as Cell Ranger 2 wrote it, with gene symbols that repeat."""
    counts = sparse.csc_matrix(dense(made(), "rna").T.astype(np.int32))
    symbols = [f"Gene{i // 2}" for i in range(counts.shape[0])]
    text = {"barcodes": [f"cell{i}" for i in range(counts.shape[1])], "gene_names": symbols}
    text["genes"] = [f"ENSG{i:011d}" for i in range(counts.shape[0])]
    with h5py.File(path, "w") as file:
        for genome in genomes:
            group = file.create_group(genome)
            for name, values in text.items():
                group[name] = np.array(values, dtype="S20")
            for name in ("data", "indices", "indptr"):
                group[name] = getattr(counts, name)
            group["shape"] = np.array(counts.shape)


def zarr_of_anndata() -> Iterator[Line]:
    """.zarr of an AnnData"""
    with tempfile.TemporaryDirectory() as folder:
        joined_by_type(made()).write_zarr(Path(folder) / "cells.zarr")
        data = scmoe.datasets.read(Path(folder) / "cells.zarr")
    today = type(data).__name__ + (f" of {', '.join(data.mod)}" if isinstance(data, MuData) else "")
    yield words("read", "an AnnData", today, "MuData of rna, adt", today == "MuData of rna, adt")


def repeated_symbols() -> Iterator[Line]:
    """10x v2 .h5 with repeated symbols, command line"""
    with tempfile.TemporaryDirectory() as folder:
        _write_10x_v2(file := Path(folder) / "cells.h5", ["hg38"])
        code, today = command("train", file, "-o", Path(folder) / "out", "--max-epochs", 1)
    yield words("scmoe train", "advises a Python call", short(today if code else "trained"), "trained", code == 0)


def several_genomes() -> Iterator[Line]:
    """10x v2 .h5 with two genomes, command line"""
    with tempfile.TemporaryDirectory() as folder:
        _write_10x_v2(file := Path(folder) / "cells.h5", ["hg38", "mm10"])
        code, today = command("train", file, "-o", Path(folder) / "out", "--max-epochs", 1)
    met = code == 0 or "--genome" in today
    yield words("scmoe train", '"may be damaged"', short(today if code else "trained"), "trained, or an option", met)


def h5ad_named_h5() -> Iterator[Line]:
    """An .h5ad named .h5"""
    with tempfile.TemporaryDirectory() as folder:
        joined_by_type(made()).write_h5ad(Path(folder) / "cells.h5")
        today = said(lambda: scmoe.datasets.read(Path(folder) / "cells.h5"))
    today = today.replace(folder, "")
    seen = "available genomes: ['X', ...]. The file may be damaged"
    met = today == "no warning" or (".h5ad" in today and "damaged" not in today)
    yield words("read", seen, short(today), "reads it, or says .h5ad", met)


def labels_with_gaps() -> Iterator[Line]:
    """Labels NaN"""
    mdata = prepared(made())
    mdata.obs["kind"] = mdata.obs["kind"].where(np.arange(mdata.n_obs) % 3 > 0)
    train(mdata, max_epochs=1, labels_key="kind")
    types = sorted(map(str, mdata.obs["scmoe_label"].unique()))
    yield words("types predicted", "refused", ", ".join(types), "0 to 3", set(types) <= set("0123"))


def labels_unassigned() -> Iterator[Line]:
    """Cells called "Unassigned\""""
    mdata = prepared(made())
    labels = mdata.obs["kind"].astype(str)
    mdata.obs["kind"] = labels.where(np.arange(mdata.n_obs) % 3 > 0, "Unassigned")
    today = said(lambda: train(mdata, max_epochs=1, labels_key="kind"))
    yield words("train", "learned as a type", short(today), "a hint at unlabeled_category", "Unassigned" in today)


def one_protein() -> Iterator[Line]:
    """One protein only"""
    mdata = made(n_proteins=1)
    truth = np.log1p(dense(mdata, "adt"))[:, 0]
    spread = (values := dense(prepared(mdata), "adt")[:, 0]).std()
    today = f"correlation {np.corrcoef(truth, values)[0, 1]:.2f}" if spread > 0 else "0 in every cell"
    yield words("values after prepare", "0 in every cell", today, "correlation 1.00", today == "correlation 1.00")


def two_proteins() -> Iterator[Line]:
    """Two proteins only"""
    first, second = dense(prepared(made(n_proteins=2)), "adt").T
    mirrored = np.allclose(first, -second, atol=1e-5)
    today = "mirror images" if mirrored else f"correlation {np.corrcoef(first, second)[0, 1]:.2f}"
    yield words("values after prepare", "mirror images", today, "no mirror images", not mirrored)


def genes_named_spatial() -> Iterator[Line]:
    """A modality named "spatial" with counts"""
    counts = made()["rna"]
    mdata = prepared(MuData({"spatial": counts, "adt": made()["adt"]}))
    kind = str(mdata.uns["scmoe"]["prepare"]["spatial"]["kind"])
    today = said(lambda: train(mdata, max_epochs=1))
    met = kind == "rna" and "Error" not in today
    yield words("kind; train", "continuous; advice in a circle", f"{kind}; {short(today)}", "rna; trained", met)


def topics_named_atac() -> Iterator[Line]:
    """Topics named "atac" with whole numbers"""
    mdata, draw = made(), np.random.default_rng(0)
    topics = 1 + np.round(draw.lognormal(7, 1.5, (mdata.n_obs, 19)))
    adata = ad.AnnData(topics.astype(np.float32), pd.DataFrame(index=mdata.obs_names))
    adata.var_names = [f"topic{i}" for i in range(19)]
    both = prepared(MuData({"rna": mdata["rna"], "atac_topics": adata}))
    kind = str(both.uns["scmoe"]["prepare"]["atac_topics"]["kind"])
    yield words("taken for", "peaks", kind, "continuous", kind == "continuous")


def _query(change: Callable[[MuData], None]) -> tuple[MuData, MuData]:
    """Training data and a query of 100 cells that is changed."""
    mdata = prepared(made())
    mdata["rna"].var_names = [f"ENSG{i:011d}" for i in range(mdata["rna"].n_vars)]
    mdata.update()
    query = mdata[:100].copy()
    change(query)
    return mdata, query


def versions_of_ids() -> Iterator[Line]:
    """Query with ids ENSG….7"""

    def change(query: MuData) -> None:
        query["rna"].var_names = query["rna"].var_names + ".7"
        query.update()

    mdata, query = _query(change)
    model = train(mdata, max_epochs=1)
    today = said(lambda: scmoe.tl.map_query(query, model))
    met = "version" in today or today == "no warning"
    yield words("map_query", "speaks of symbols", short(today), "mapped, or a hint at the version", met)


def batch_of_a_modality() -> Iterator[Line]:
    """Query with batches only in mdata["rna"].obs"""

    def change(query: MuData) -> None:
        query["rna"].obs["batch"] = query.obs["batch"].astype(str)
        del query.obs["batch"]

    mdata, query = _query(change)
    model = train(mdata, max_epochs=1, batch_key="batch")
    today = said(lambda: scmoe.tl.map_query(query, model))
    met = "Error" not in today or any(word in today for word in ("pull_obs", "['rna'].obs", '["rna"].obs'))
    yield words("map_query", "no hint", short(today), "mapped, or a hint at that column", met)


def batches_as_numbers() -> Iterator[Line]:
    """Batches 1, 2 and a query with 1.0, 2.0"""
    mdata, query = _query(lambda query: None)
    for data, kind in ((mdata, int), (query, float)):
        data.obs["batch"] = (data.obs["batch"].astype(str) == "b").astype(kind) + kind(1)
    model = train(mdata, max_epochs=1, batch_key="batch")
    with log_lines():
        scmoe.tl.map_query(query, model)
    new = list(query.uns["scmoe"]["query"]["new_batches"])
    yield words("batches that map_query takes for new", "1.0, 2.0", ", ".join(new) or "none", "none", not new)


def anndata_instead() -> Iterator[Line]:
    """An AnnData instead of a MuData"""
    adata = made()["rna"]
    today = said(lambda: (scmoe.pp.prepare(adata), train(adata, max_epochs=1)))
    met = "scmoe_cluster" in adata.obs and "X_scmoe" in adata.obsm
    yield words("prepare, train", "refused", "results in it" if met else short(today), "results in it", met)


def scaled_anndata() -> Iterator[Line]:
    """X scaled, counts in a layer"""
    mdata = made()
    adata = mdata["rna"]
    adata.layers["counts"] = adata.X.copy()
    values = dense(mdata, "rna")
    adata.X = ((values - values.mean(axis=0)) / values.std(axis=0)).astype(np.float32)
    with log_lines() as log:
        prepared(mdata)
    line = next((line for line in log if "layers" in line and "X" in line), "")
    yield words("the log says that X is replaced", "no", short(line) or "no", "yes", bool(line))


def split_column() -> Iterator[Line]:
    """obs["split"] of pp.split by donor"""
    mdata = prepared(made())
    mdata.obs["donor"] = pd.Categorical([f"d{i % 10}" for i in range(mdata.n_obs)])
    scmoe.pp.split(mdata, group_key="donor")
    model = scmoe.tl.train(mdata, max_epochs=1, split_key="split", train_kwargs={"enable_progress_bar": False})
    donors = [set(mdata.obs["donor"].to_numpy()[rows]) for rows in (model.train_indices, model.validation_indices)]
    shared = len(donors[0] & donors[1])
    yield words("donors in both training and validation", "all", str(shared), "0", shared == 0)


ROWS = {
    "A5": [types_with_gaps],
    "A7": [repeated_barcodes],
    "A8": [barcode_suffix],
    "A9": [zarr_of_anndata, repeated_symbols, several_genomes, h5ad_named_h5],
    "A10": [labels_with_gaps, labels_unassigned],
    "A11": [one_protein, two_proteins],
    "A12": [genes_named_spatial, topics_named_atac],
    "A13": [versions_of_ids, batch_of_a_modality, batches_as_numbers],
    "A14": [anndata_instead, scaled_anndata],
    "A15": [split_column],
}
