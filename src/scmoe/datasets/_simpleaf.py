"""Names in files of simpleaf, whose cells and genes are called by their numbers."""

import pandas as pd
from anndata import AnnData

BARCODES, SYMBOLS = "barcodes", "gene_symbols"
"""Columns with the names."""
PART = "spliced"
"""Table in ``varm`` with the names of genes, where counts are divided by splicing."""


def restore_names(adata: AnnData) -> None:
    """Name cells and genes as the columns say that simpleaf writes."""
    table = adata.varm[PART] if PART in adata.varm else adata.var
    if BARCODES in adata.obs and _are_numbers(adata.obs_names):
        adata.obs_names = adata.obs[BARCODES].astype(str).to_numpy()
    if isinstance(table, pd.DataFrame) and SYMBOLS in table and _are_numbers(adata.var_names):
        adata.var_names = table[SYMBOLS].astype(str).to_numpy()


def _are_numbers(names: pd.Index) -> bool:
    return bool((names == pd.RangeIndex(len(names)).astype(str)).all())
