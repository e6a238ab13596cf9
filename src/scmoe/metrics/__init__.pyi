from ._calibration import calibration_table, coverage_accuracy
from ._classification import ClassificationScores, classification_scores
from ._clusters import matched_accuracy
from ._confusion import confusion_table
from ._features import feature_scores
from ._frequency import frequency_groups, recall_slope
from ._hubs import HubRatio, hub_ratio
from ._levels import level_accuracy
from ._per_class import per_class_scores

__all__ = [
    "ClassificationScores",
    "HubRatio",
    "calibration_table",
    "classification_scores",
    "confusion_table",
    "coverage_accuracy",
    "feature_scores",
    "frequency_groups",
    "hub_ratio",
    "level_accuracy",
    "matched_accuracy",
    "per_class_scores",
    "recall_slope",
]
