from ._baselines import pca_embedding, ridge_on_pca
from ._demo import run_demo

__all__ = ["pca_embedding", "ridge_on_pca", "run_demo"]
