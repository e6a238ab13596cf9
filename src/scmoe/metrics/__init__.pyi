from ._clusters import matched_accuracy
from ._features import feature_scores

__all__ = ["feature_scores", "matched_accuracy"]
