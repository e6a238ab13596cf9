from ._ablation import ablation
from ._abundance import abundance
from ._annotate import annotate
from ._attention import attention
from ._attribute import attribute
from ._cluster import cluster
from ._deletion import deletion
from ._denoise import denoise
from ._differential import differential
from ._embed import embed
from ._expert_cards import expert_cards
from ._expert_stability import expert_stability
from ._expert_usage import expert_usage
from ._gradient_conflict import gradient_conflict
from ._impute import impute
from ._majority_vote import majority_vote
from ._map_query import map_query
from ._markers import markers
from ._pretrain import pretrain
from ._tcav import tcav
from ._train import train
from ._umap import umap

__all__ = [
    "ablation",
    "abundance",
    "annotate",
    "attention",
    "attribute",
    "cluster",
    "deletion",
    "denoise",
    "differential",
    "embed",
    "expert_cards",
    "expert_stability",
    "expert_usage",
    "gradient_conflict",
    "impute",
    "majority_vote",
    "map_query",
    "markers",
    "pretrain",
    "tcav",
    "train",
    "umap",
]
