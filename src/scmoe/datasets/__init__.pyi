from ._anndata import from_anndata
from ._bundled import bmmc_cite
from ._download import pbmc10k_cite, pbmc10k_multiome
from ._imbalance import imbalance, imbalance_total
from ._patchseq import patchseq_m1
from ._read import read, remove_cache
from ._reference import reference
from ._spatial import simulate_spatial
from ._spatialdata import from_spatialdata
from ._write import write
from ._zheng68k import zheng68k
from .atlas._sample import sample_atlas
from .exports._export import export
from .grn._cells import simulate_grn
from .paper._bmmc_multiome import bmmc_multiome
from .paper._patchseq_gaba import patchseq_gaba
from .paper._spots import dbitseq, dlpfc

__all__ = [
    "bmmc_cite",
    "bmmc_multiome",
    "dbitseq",
    "dlpfc",
    "export",
    "from_anndata",
    "from_spatialdata",
    "imbalance",
    "imbalance_total",
    "patchseq_gaba",
    "patchseq_m1",
    "pbmc10k_cite",
    "pbmc10k_multiome",
    "read",
    "reference",
    "remove_cache",
    "sample_atlas",
    "simulate_grn",
    "simulate_spatial",
    "write",
    "zheng68k",
]
