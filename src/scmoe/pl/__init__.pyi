from ._ablation import ablation
from ._attention import attention
from ._attribution import attribution
from ._deletion import deletion
from ._expert_card import expert_card
from ._expert_stability import expert_stability
from ._expert_usage import expert_usage
from ._gradient_conflict import gradient_conflict
from ._history import history
from ._imputed import imputed
from ._tcav import tcav

__all__ = [
    "ablation",
    "attention",
    "attribution",
    "deletion",
    "expert_card",
    "expert_stability",
    "expert_usage",
    "gradient_conflict",
    "history",
    "imputed",
    "tcav",
]
