from ._attention import attention_table
from ._usage import usage_table

__all__ = ["attention_table", "usage_table"]
