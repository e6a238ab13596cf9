"""A module list that knows what it holds."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Generic, TypeVar

from torch import nn

M = TypeVar("M", bound=nn.Module)


class Modules(nn.ModuleList, Generic[M]):
    """`torch.nn.ModuleList` of one kind of module, for the type checker.

    Lists by position, not by name: a modality's name may hold what a parameter's name may not.
    """

    if TYPE_CHECKING:

        def __getitem__(self, index: int) -> M: ...  # type: ignore[override]

        def __iter__(self) -> Iterator[M]: ...
