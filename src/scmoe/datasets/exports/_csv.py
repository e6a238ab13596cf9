"""A folder of tables, for spreadsheets and any other tool."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from mudata import MuData

from scmoe._keys import MARKERS, UMAP, Keys
from scmoe._log import logger
from scmoe.datasets.exports._columns import as_text_or_number, converted
from scmoe.datasets.exports._seurat import predicted
from scmoe.io._files import atomic_dir

LARGE = 2_000_000
"""Values from which on a table is compressed."""
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""With what spreadsheets begin a formula, which they run."""
README = "README.txt"


class Table(NamedTuple):
    """A table with what it is."""

    name: str
    frame: pd.DataFrame
    meaning: str


def write_csv(mdata: MuData, path: Path, keys: Keys, *, overwrite: bool) -> list[str]:
    """Write the tables that there are to a folder, with a page that says what they hold."""
    with atomic_dir(path, overwrite=overwrite) as folder:
        lines, n_quoted = [], 0
        for table in _tables(mdata, keys):
            frame, n = without_formulas(table.frame)
            n_quoted += n
            name = f"{table.name}.csv.gz" if frame.size > LARGE else f"{table.name}.csv"
            # Nine digits tell single-precision numbers apart.
            of_cells = table.name != MARKERS
            frame.to_csv(folder / name, index=of_cells, index_label="cell" if of_cells else None, float_format="%.9g")
            lines.append(f"{name}: {len(frame)} x {frame.shape[1]}. {table.meaning}")
        if n_quoted:
            said = f"{n_quoted} texts begin like a formula of a spreadsheet; an apostrophe (') stands before them."
            logger.warning("%s", said)
            lines.append(said)
        (folder / README).write_text("\n".join([*_introduction(mdata, keys), *lines]) + "\n", encoding="utf-8")
    return []


def _introduction(mdata: MuData, keys: Keys) -> list[str]:
    return [
        f"Results of scmoe ({keys.name}) for {mdata.n_obs} cells, written by scmoe.datasets.export.",
        "Text is in UTF-8, fields are separated by commas, and those with commas, quotes or line breaks are in double "
        "quotes. Absent numbers are empty.",
        "",
    ]


def _tables(mdata: MuData, keys: Keys) -> Iterator[Table]:
    cells = mdata.obs_names
    obs = converted(mdata.obs, as_text_or_number)
    if isinstance(places := mdata.obsm.get(keys.umap, mdata.obsm.get(UMAP)), np.ndarray):
        for i in range(places.shape[1]):
            obs[_free_name(obs, f"umap{i + 1}")] = places[:, i]
    for name, mask in ((name, mdata.obsm[name]) for name in mdata.mod if name in mdata.obsm):
        obs[_free_name(obs, f"has_{name}")] = np.asarray(mask, bool).ravel()
    columns = {
        keys.cluster: "cluster, 0 the largest",
        keys.label: "predicted label",
        keys.label_confidence: "its probability",
        keys.label_rollup: "lowest name in the tree of labels that is sure",
        keys.unknown_score: "how unlike all known types, in (0, 1]",
        keys.mapping_score: "how well the cell fits the training cells, in (0, 1]",
        keys.split: "what the cell was to the training",
    }
    there = "; ".join(f"{name}: {what}" for name, what in columns.items() if name in obs)
    yield Table("cells", obs, f"A row a cell. Columns: {', '.join(obs)}." + (f" {there}." if there else ""))
    embedding = mdata.obsm.get(keys.embedding)
    if isinstance(embedding, np.ndarray):
        names = [f"{keys.name}{i + 1}" for i in range(embedding.shape[1])]
        yield Table("embedding", pd.DataFrame(embedding, cells, names), "Joint embedding, a row a cell.")
    probability = mdata.obsm.get(keys.label_probability)
    if isinstance(probability, pd.DataFrame):
        yield Table("label_probability", probability, "Probability of each label, a row a cell.")
    for key, name in predicted(mdata, keys):
        meaning = f"Predicted values ({name.replace('_', ' ')}), a row a cell, a column a feature; not measured."
        yield Table(f"predicted_{name}", mdata.obsm[key], meaning)
    results = mdata.uns.get(keys.name)
    markers = results.get(MARKERS) if isinstance(results, Mapping) else None
    if isinstance(markers, pd.DataFrame):
        yield Table(MARKERS, markers, "Tests of features by group; columns as scmoe.tl.markers describes them.")


def _free_name(frame: pd.DataFrame, name: str) -> str:
    while name in frame:
        name += "_"
    return name


def without_formulas(frame: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """A table in which no text begins like a formula: an apostrophe stands before it; and how many did."""
    counts: list[int] = []

    def guarded(values: pd.Index | pd.Series) -> list[object]:
        unsafe = [isinstance(value, str) and value.startswith(FORMULA) for value in values]
        counts.append(sum(unsafe))
        return [f"'{value}" if is_unsafe else value for value, is_unsafe in zip(values, unsafe, strict=True)]

    index, columns = guarded(frame.index), guarded(frame.columns)
    out = frame.set_axis(columns, axis=1)
    out.index = pd.Index(index, dtype=object if any(isinstance(name, str) for name in index) else None)
    for i, name in enumerate(columns):
        column = frame.iloc[:, i]
        if not pd.api.types.is_numeric_dtype(column.dtype):
            out = out.copy(deep=False)
            out[name] = guarded(column.astype(object))
    return out, sum(counts)
