from ._attention import attention
from ._expert_usage import expert_usage
from ._history import history
from ._imputed import imputed

__all__ = ["attention", "expert_usage", "history", "imputed"]
