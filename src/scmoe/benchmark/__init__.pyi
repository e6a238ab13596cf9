import typing

from ._baselines import pca_embedding, ridge_on_pca
from ._run import run_compare
from ._scores import embedding_scores
from ._scores_held_out import label_scores, prediction_scores
from .demo._run import run_demo

__all__ = [
    "embedding_scores",
    "label_scores",
    "pca_embedding",
    "prediction_scores",
    "ridge_on_pca",
    "run_compare",
    "run_demo",
]

def __getattr__(name: str) -> typing.Any: ...  # functions of scmoe.studies
