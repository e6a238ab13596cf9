from ._ablation import ablation
from ._attention import attention
from ._attribution import attribution
from ._calibration import calibration
from ._confusion import confusion
from ._deletion import deletion
from ._expert_card import expert_card
from ._expert_stability import expert_stability
from ._expert_usage import expert_usage
from ._gradient_conflict import gradient_conflict
from ._history import history
from ._imputed import imputed
from ._level_accuracy import level_accuracy
from ._markers import markers
from ._per_class import per_class
from ._report import report
from ._tcav import tcav

__all__ = [
    "ablation",
    "attention",
    "attribution",
    "calibration",
    "confusion",
    "deletion",
    "expert_card",
    "expert_stability",
    "expert_usage",
    "gradient_conflict",
    "history",
    "imputed",
    "level_accuracy",
    "markers",
    "per_class",
    "report",
    "tcav",
]
