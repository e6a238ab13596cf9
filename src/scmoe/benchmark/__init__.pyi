from ._baselines import pca_embedding, ridge_on_pca
from ._demo import run_demo
from ._speed import run_speed

__all__ = ["pca_embedding", "ridge_on_pca", "run_demo", "run_speed"]
