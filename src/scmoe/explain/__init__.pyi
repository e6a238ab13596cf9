from ._ablation import ablation_table
from ._attention import attention_table
from ._attribution import attribution_table, deletion_table
from ._cards import expert_cards_table
from ._conflict import conflict_table
from ._rare_usage import rare_usage_table
from ._stability import stability_table
from ._tcav import concept_test
from ._usage import usage_table
from ._usage_summary import usage_summary

__all__ = [
    "ablation_table",
    "attention_table",
    "attribution_table",
    "concept_test",
    "conflict_table",
    "deletion_table",
    "expert_cards_table",
    "rare_usage_table",
    "stability_table",
    "usage_summary",
    "usage_table",
]
