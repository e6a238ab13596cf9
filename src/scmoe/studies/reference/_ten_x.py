"""Cells as Cell Ranger writes them, to see what a reference says of a file that comes from a sequencing center."""

from pathlib import Path

import h5py
import numpy as np
from mudata import MuData
from scipy import sparse

from scmoe.io._files import atomic_path

FEATURE_TYPES = {"rna": "Gene Expression", "adt": "Antibody Capture"}
VENDOR = "_TotalSeqB"
"""What the names of antibodies of 3' kits end in."""
TAGS = ("genome",)


def write_10x_h5(mdata: MuData, path: Path) -> None:
    """Write raw counts of genes and antibodies as a ``filtered_feature_bc_matrix.h5`` of Cell Ranger 3 and later.

    Matrix of features x cells by columns, 32-bit counts, features with ``id``, ``name``, ``feature_type`` and
    ``genome``. Identifiers are those in ``var["gene_ids"]``, or the names where there are none.
    """
    parts: list[sparse.csr_matrix] = []
    ids: list[str] = []
    names: list[str] = []
    types: list[str] = []
    genomes: list[str] = []
    for name, feature_type in FEATURE_TYPES.items():
        adata, is_rna = mdata[name], name == "rna"
        features = [str(feature) if is_rna else f"{feature}{VENDOR}" for feature in adata.var_names]
        parts.append(sparse.csr_matrix(adata[mdata.obs_names].X))
        names += features
        ids += adata.var["gene_ids"].astype(str).tolist() if "gene_ids" in adata.var else features
        types += [feature_type] * adata.n_vars
        genomes += ["GRCh38" if is_rna else ""] * adata.n_vars
    matrix = sparse.hstack(parts, format="csr")  # rows of cells are columns of the file
    with atomic_path(path) as temporary, h5py.File(temporary, "w") as file:
        file.attrs.update({"filetype": "matrix", "version": 2, "chemistry_description": "Single Cell 3' v3"})
        group = file.create_group("matrix")
        group["barcodes"] = np.array(mdata.obs_names, dtype="S")
        group["data"] = matrix.data.astype(np.int32)
        group["indices"] = matrix.indices.astype(np.int64)
        group["indptr"] = matrix.indptr.astype(np.int64)
        group["shape"] = np.array(matrix.shape[::-1], np.int32)
        features = group.create_group("features")
        features["_all_tag_keys"] = np.array(TAGS, dtype="S")
        for key, values in (("id", ids), ("name", names), ("feature_type", types), ("genome", genomes)):
            features[key] = np.array(values, dtype="S")
