"""`export`: write results for other tools."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from mudata import MuData

from scmoe._check import check_mdata, check_results_there, choose_modalities
from scmoe._keys import DEFAULT_KEY, Keys
from scmoe.arguments._checked import checks_arguments
from scmoe.datasets._anndata import reads_anndata
from scmoe.datasets.exports._cellxgene import check_values, write_cellxgene
from scmoe.datasets.exports._csv import write_csv
from scmoe.datasets.exports._seurat import write_seurat
from scmoe.datasets.exports._vitessce import write_vitessce
from scmoe.io._files import WriteError


@checks_arguments
@reads_anndata
def export(
    mdata: MuData,
    path: str | os.PathLike[str],
    *,
    to: Literal["cellxgene", "seurat", "vitessce", "csv"],
    modality: str | None = None,
    values: Mapping[str, str] | None = None,
    key: str = DEFAULT_KEY,
    overwrite: bool = False,
) -> list[str]:
    """Write data with results as another tool reads them.

    ``"cellxgene"``
        An ``.h5ad`` of one modality in the layout of CELLxGENE's schema 7.1: Ensembl identifiers, counts in ``raw``,
        map and embedding. What the data do not say is asked for: see `values`. Columns whose names are reserved get
        ``author_`` before them.
    ``"seurat"``
        An ``.h5ad`` of one modality for SeuratDisk, anndataR and zellkonverter, or an ``.h5mu`` of all modalities, and
        of predictions as assays of their own, for MuDataSeurat. Normalized values are in ``X``, counts in
        ``layers["counts"]`` and ``raw``. Categories are text, and absent text is ``NA``. Reductions are called ``umap``
        and as `key`.
    ``"vitessce"``
        A folder with ``cells.zarr`` and ``config.json``: map, sets of cells, a list of features and a heat map of the
        50 that vary most.
    ``"csv"``
        A folder with ``cells.csv`` (all of ``obs``, and the map), ``embedding.csv``, and where they are there
        ``label_probability.csv``, ``predicted_*.csv`` and ``markers.csv``; ``README.txt`` says what they hold. Tables
        of more than two million values end in ``.csv.gz``. Before text that a spreadsheet would run as a formula stands
        an apostrophe.

    Parameters
    ----------
    mdata
        Data with results of `scmoe.tl.train`, `scmoe.tl.map_query` or `scmoe.tl.annotate`. Nothing is written to it.
    path
        File or folder to write, all or nothing.
    to
        The tool.
    modality
        Which modality, where one is written; None: the first one. Its cells are written, with what is known of them.
    values
        For ``"cellxgene"``: fields of the schema, such as ``{"organism_ontology_term_id": "NCBITaxon:9606"}``. A
        value for all cells, or ``"obs/NAME"`` for the entries of a column. Columns of ``obs`` that have the name of a
        field need not be set.
    key
        The ``key_added`` of the results.
    overwrite
        Whether to replace what is there.

    Returns
    -------
    list of str
        What the tool will find missing, a sentence each; none if all is there.

    Raises
    ------
    KeyError
        There are no results, or no such modality or column.
    ValueError
        A field that the schema does not have, or `values` for another tool.
    scmoe.io._files.WriteError
        (an `OSError` and `ValueError`) Another suffix, something is there already, or it cannot be written.

    Examples
    --------
    >>> import scmoe
    >>> mdata = scmoe.datasets.bmmc_cite()
    >>> scmoe.pp.prepare(mdata)
    >>> model = scmoe.tl.train(mdata, umap=True)
    >>> scmoe.datasets.export(mdata, "for_r.h5ad", to="seurat")
    []
    >>> missing = scmoe.datasets.export(mdata, "cxg.h5ad", to="cellxgene", values={"title": "Bone marrow"})
    >>> "obs['donor_id'] is missing" in missing[4]
    True
    """
    check_mdata(mdata)
    check_results_there(mdata, key)
    if modality is not None:
        choose_modalities(mdata, modality)
    if values and to != "cellxgene":
        raise ValueError(f"values= are fields of CELLxGENE's schema; found {list(values)} for to={to!r}.")
    place, keys = Path(path).expanduser(), Keys(name=key)
    if place.exists() and not overwrite:
        raise WriteError(f"{place} is there already. Pass overwrite=True to replace it, or choose another name.")
    if to == "cellxgene":
        check_values(values or {}, mdata)
        return write_cellxgene(mdata, place, modality, keys, values or {})
    if to == "seurat":
        return write_seurat(mdata, place, modality, keys)
    if to == "vitessce":
        return write_vitessce(mdata, place, modality, keys, overwrite=overwrite)
    return write_csv(mdata, place, keys, overwrite=overwrite)
