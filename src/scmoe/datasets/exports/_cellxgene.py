"""Files for CZ CELLxGENE: the schema's layout, with what the data lack asked for."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData
from scipy import sparse

from scmoe._keys import COUNTS_LAYER, UMAP, Keys
from scmoe._log import logger
from scmoe.datasets._anndata import to_anndata
from scmoe.datasets._write import write
from scmoe.datasets.exports._columns import as_category_or_number, converted
from scmoe.io._files import WriteError

SCHEMA = "7.1.0"
"""Version of the schema that is followed."""


class Field(NamedTuple):
    """What the schema asks for and no matrix tells."""

    meaning: str
    example: str


CELL_FIELDS = {
    "assay_ontology_term_id": Field("the assay, a term of EFO", "EFO:0009922 (10x 3' v3)"),
    "cell_type_ontology_term_id": Field("the cell type, a term of CL", "unknown, or a column of terms"),
    "development_stage_ontology_term_id": Field("the age, a term of HsapDv, MmusDv, ...", "unknown"),
    "disease_ontology_term_id": Field("the disease, a term of MONDO", "PATO:0000461 (normal)"),
    "donor_id": Field("the donor", "obs/donor, or pooled"),
    "is_primary_data": Field("whether this is the first publication of the cells", "true"),
    "self_reported_ethnicity_ontology_term_id": Field("terms of HANCESTRO; na if not human", "unknown"),
    "sex_ontology_term_id": Field("the sex, a term of PATO", "unknown"),
    "suspension_type": Field("what was suspended", "cell, nucleus or na"),
    "tissue_ontology_term_id": Field("the tissue, a term of UBERON", "UBERON:0002371 (bone marrow)"),
    "tissue_type": Field("the kind of sample", "tissue, organoid, cell line or primary cell culture"),
}
"""Columns of ``obs``."""
FILE_FIELDS = {
    "organism_ontology_term_id": Field("the species, a term of NCBITaxon", "NCBITaxon:9606 (human)"),
    "title": Field("a title of the data set", "Bone marrow CITE-seq"),
}
"""Entries of ``uns``."""
RESERVED = set(
    "assay cell_type development_stage disease self_reported_ethnicity sex tissue organism organism_ontology_term_id "
    "ethnicity ethnicity_ontology_term_id observation_joinid experimental_condition perturbation_types".split()
)
"""Columns that CELLxGENE fills in itself."""
RESERVED_OF_GENES = set("feature_name feature_reference feature_biotype feature_length feature_type".split())
AUTHOR = "author_"
"""Before the name of a column of the user's that is reserved."""
IDENTIFIER = re.compile(r"(ENS[A-Z]*G\d{11}|FBgn\d{7}|WBGene\d{8})(\.\d+)?$")
"""Gene identifiers of the schema's references; versions are cut off."""
COLUMN = "obs/"
"""Before the name of a column whose entries a field takes."""


def write_cellxgene(
    mdata: MuData, path: Path, modality: str | None, keys: Keys, values: Mapping[str, str]
) -> list[str]:
    """Write an ``.h5ad`` in the schema's layout, and say what it lacks."""
    if path.suffix != ".h5ad":
        raise WriteError(f"Files for CELLxGENE end in .h5ad; found {path}.")
    name = modality or next(iter(mdata.mod))
    own = to_anndata(mdata, name)
    obs, missing = _cells(own.obs, values)
    identifiers, named = _identifiers(own)
    var = converted(own.var.iloc[:, :0], as_category_or_number)
    var.index = pd.Index(identifiers.astype(object))
    var["feature_is_filtered"] = False
    if not named:
        missing.append(
            f"Features of {name} have no Ensembl identifiers: expected them as names or in a column of var, found "
            f"names such as {own.var_names[0]!r}. Add mdata[{name!r}].var['gene_ids']."
        )
    is_gene, obsm = ~pd.Series(identifiers).duplicated().to_numpy(), dict(_embeddings(own, keys))
    if not is_gene.all():
        logger.warning("%s: %d features repeat an identifier and are left out", name, int((~is_gene).sum()))
    adata = AnnData(_float32(own.X)[:, is_gene], obs=obs, var=var[is_gene], obsm=obsm)
    if COUNTS_LAYER in own.layers:
        counts = _float32(own.layers[COUNTS_LAYER])[:, is_gene]
        adata.raw = AnnData(counts, obs=obs, var=var.loc[is_gene, []])
        missing += _empty_cells(counts, name)
        # What X has no value of is filtered, if it was counted.
        unread = (np.asarray((adata.X != 0).sum(axis=0)).ravel() == 0) & (np.asarray(counts.sum(axis=0)).ravel() > 0)
        adata.var["feature_is_filtered"] = unread
    else:
        missing.append(f"{name} has no layer {COUNTS_LAYER!r}: the schema asks for raw counts.")
    for key in FILE_FIELDS:
        if values.get(key):
            adata.uns[key] = values[key]
    if UMAP in obsm:
        adata.uns["default_embedding"] = UMAP
    missing += [_asked(key, field, "uns") for key, field in FILE_FIELDS.items() if key not in adata.uns]
    write(adata, path)
    return missing


def check_values(values: Mapping[str, str], mdata: MuData) -> None:
    """Raise for fields that the schema does not ask for, and for columns that there are not."""
    known = [*CELL_FIELDS, *FILE_FIELDS]
    for key, value in values.items():
        if key not in known:
            raise ValueError(
                f"{key!r} is no field of CELLxGENE's schema that can be set; these are {', '.join(known)}."
            )
        if key in CELL_FIELDS and value.startswith(COLUMN) and value.removeprefix(COLUMN) not in mdata.obs:
            raise KeyError(
                f"{key}={value}: {value.removeprefix(COLUMN)!r} is not a column of mdata.obs, which has "
                f"{', '.join(map(str, mdata.obs))}."
            )


def _cells(own: pd.DataFrame, values: Mapping[str, str]) -> tuple[pd.DataFrame, list[str]]:
    obs = converted(own, as_category_or_number)
    for key, value in values.items():
        if key in CELL_FIELDS:
            filled = own[value.removeprefix(COLUMN)].astype(str) if value.startswith(COLUMN) else [value] * len(obs)
            obs[key] = pd.Categorical(np.asarray(filled, dtype=object))
    if "is_primary_data" in obs:
        obs["is_primary_data"] = _booleans(obs["is_primary_data"])
    names = {name: f"{AUTHOR}{name}" for name in RESERVED & set(obs)} | {
        name: f"{AUTHOR}{name.lstrip('_')}" for name in obs if name.startswith("__")
    }
    obs = obs.rename(columns=names)
    for old, new in sorted(names.items()):
        logger.info("obs[%r] is called %r in the file: CELLxGENE keeps the name for itself", old, new)
    return obs, [_asked(key, field, "obs") for key, field in CELL_FIELDS.items() if key not in obs]


def _booleans(column: pd.Series) -> np.ndarray:
    text = column.astype(str).str.lower()
    if not text.isin(["true", "false"]).all():
        raise ValueError(f"is_primary_data must be true or false; found {sorted(set(text) - {'true', 'false'})[0]!r}.")
    return (text == "true").to_numpy()


def _asked(key: str, field: Field, place: str) -> str:
    return (
        f"{place}[{key!r}] is missing: {field.meaning}, such as {field.example}. Pass values={{{key!r}: ...}} "
        f"(--set {key}=...)."
    )


def _identifiers(adata: AnnData) -> tuple[np.ndarray, bool]:
    """Ensembl identifiers from the names or a column of var, and whether these are some; else the names."""
    columns = [pd.Series(adata.var_names), *(adata.var[name] for name in adata.var if adata.var[name].dtype != bool)]
    for column in columns:
        text = column.astype(str)
        if len(text) and text.str.fullmatch(IDENTIFIER.pattern).mean() > 0.5:
            return text.str.replace(r"\.\d+$", "", regex=True).to_numpy(object), True
    return adata.var_names.astype(str).to_numpy(object), False


def _embeddings(adata: AnnData, keys: Keys) -> Iterator[tuple[str, np.ndarray]]:
    for key in (UMAP, keys.embedding):
        value = adata.obsm.get(key)
        if isinstance(value, np.ndarray) and value.ndim == 2 and value.shape[1] > 1 and np.isfinite(value).any():
            yield key, value


def _float32(matrix: object) -> sparse.csr_matrix:
    return sparse.csr_matrix(matrix).astype(np.float32)


def _empty_cells(counts: sparse.csr_matrix, name: str) -> list[str]:
    n = int((np.diff(counts.indptr) == 0).sum())
    return [f"{n} cells have no count in {name}, which the schema refuses. Remove them first."] if n else []
