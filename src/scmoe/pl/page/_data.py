"""Section: what the data are and how each modality was taken."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from mudata import MuData

from scmoe._keys import SET_ASIDE
from scmoe.pl.page._section import Section, Table, count, listed
from scmoe.pp._records import missing_table, prepare_records, read_by_models

MAX_BATCHES = 30


def data_section(mdata: MuData, batch_key: str | None) -> Section:
    """Cells by modality and batch, kinds, what was set aside, what was not measured.

    Parameters
    ----------
    mdata
        The data.
    batch_key
        Column with batches, if the model knew one.
    """
    records = prepare_records(mdata)
    sentences = [f"{count(mdata.n_obs)} cells, {len(mdata.mod)} modalities: {', '.join(mdata.mod)}."]
    if not records:
        sentences.append("There is no record of scmoe.pp.prepare: what was done to the values is not known.")
    if (missing := missing_table(mdata)) is not None and len(missing):
        sentences.append(f"{count(len(missing))} features were not measured in some cells; they are no zeros there.")
    tables = [_modalities(mdata, records), *_set_aside(mdata)]
    if batch_key is not None and batch_key in mdata.obs:
        tables.append(_batches(mdata, batch_key))
    return Section(name="data", title="The data", sentences=sentences, tables=tables)


def _modalities(mdata: MuData, records: Mapping[str, Mapping[str, Any]]) -> Table:
    rows = []
    for name, adata in mdata.mod.items():
        record = records.get(name, {})
        steps = ", ".join(map(str, np.atleast_1d(record.get("steps", [])))) or "nothing"
        of_use = int(read_by_models(adata).sum())
        rows.append(
            (
                name,
                count(adata.n_obs),
                f"{count(of_use)} of {count(adata.n_vars)}" if of_use < adata.n_vars else count(adata.n_vars),
                str(record.get("kind", "not known")),
                str(record.get("reason", "")),
                steps if record else "not known",
            )
        )
    columns = ("modality", "cells", "features", "taken for", "because", "what was done")
    return Table(caption="Modalities, and what each was taken for.", columns=columns, rows=rows)


def _set_aside(mdata: MuData) -> list[Table]:
    rows = []
    for name, adata in mdata.mod.items():
        if SET_ASIDE in adata.var:
            reasons = adata.var[SET_ASIDE].astype(str)
            for reason, names in reasons[reasons != ""].groupby(reasons):
                rows.append((name, str(reason), count(len(names)), listed(names.index)))
    columns = ("modality", "why", "features", "names")
    return [Table(caption="Features that the model does not read.", columns=columns, rows=rows)] if rows else []


def _batches(mdata: MuData, batch_key: str) -> Table:
    batch = mdata.obs[batch_key].astype(str)
    sizes = batch.value_counts()
    rows = []
    for name, size in sizes.head(MAX_BATCHES).items():
        cells = mdata.obs_names[(batch == name).to_numpy()]
        own = [count(int(np.isin(cells, adata.obs_names).sum())) for adata in mdata.mod.values()]
        rows.append((str(name), count(size), *own))
    caption = f"Cells by batch (column {batch_key})."
    if len(sizes) > MAX_BATCHES:
        caption += f" The largest {MAX_BATCHES} of {len(sizes)}."
    return Table(caption=caption, columns=("batch", "cells", *mdata.mod), rows=rows)
