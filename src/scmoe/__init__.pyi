from . import benchmark, datasets, explain, metrics, model, pl, pp, studies, tl, tokens

__version__: str

__all__ = ["__version__", "benchmark", "datasets", "explain", "metrics", "model", "pl", "pp", "studies", "tl", "tokens"]
