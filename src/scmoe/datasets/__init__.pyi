from ._bundled import bmmc_cite
from ._download import pbmc10k_cite, pbmc10k_multiome
from ._read import read

__all__ = ["bmmc_cite", "pbmc10k_cite", "pbmc10k_multiome", "read"]
