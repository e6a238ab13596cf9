from . import datasets, explain, metrics, model, pl, pp, tl

__version__: str

__all__ = ["__version__", "datasets", "explain", "metrics", "model", "pl", "pp", "tl"]
