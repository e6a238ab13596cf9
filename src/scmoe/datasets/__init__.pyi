from ._bundled import bmmc_cite
from ._download import pbmc10k_cite, pbmc10k_multiome
from ._patchseq import patchseq_m1
from ._read import read
from ._simulate_grn import simulate_grn
from ._spatial import simulate_spatial

__all__ = [
    "bmmc_cite",
    "patchseq_m1",
    "pbmc10k_cite",
    "pbmc10k_multiome",
    "read",
    "simulate_grn",
    "simulate_spatial",
]
