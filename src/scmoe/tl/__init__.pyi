from ._annotate import annotate
from ._attention import attention
from ._cluster import cluster
from ._embed import embed
from ._expert_usage import expert_usage
from ._impute import impute
from ._train import train
from ._umap import umap

__all__ = ["annotate", "attention", "cluster", "embed", "expert_usage", "impute", "train", "umap"]
