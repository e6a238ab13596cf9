from ._ablation import ablation_table
from ._attention import attention_table
from ._attribution import attribution_table, deletion_table
from ._conflict import conflict_table
from .concepts._tcav import concept_test
from .experts._ablation import expert_ablation_table
from .experts._cards import expert_cards_table
from .experts._rare import rare_usage_table
from .experts._stability import stability_table
from .experts._summary import usage_summary
from .experts._usage import usage_table

__all__ = [
    "ablation_table",
    "attention_table",
    "attribution_table",
    "concept_test",
    "conflict_table",
    "deletion_table",
    "expert_ablation_table",
    "expert_cards_table",
    "rare_usage_table",
    "stability_table",
    "usage_summary",
    "usage_table",
]
