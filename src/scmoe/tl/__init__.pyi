from ._annotate import annotate
from ._attention import attention
from ._cluster import cluster
from ._denoise import denoise
from ._embed import embed
from ._expert_usage import expert_usage
from ._impute import impute
from ._map_query import map_query
from ._train import train
from ._umap import umap

__all__ = [
    "annotate",
    "attention",
    "cluster",
    "denoise",
    "embed",
    "expert_usage",
    "impute",
    "map_query",
    "train",
    "umap",
]
