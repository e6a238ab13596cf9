"""What one process computes for all that have trained together."""

from collections.abc import Callable
from typing import Any, TypeVar

import torch

T = TypeVar("T")


def once(compute: Callable[[], T], *, is_joint: bool) -> T:
    """What the first process computes, in all of them; an error of it too.

    Parameters
    ----------
    compute
        A function without arguments, of a result that can be pickled.
    is_joint
        Whether other processes are there, all of which call this function.
    """
    if not is_joint:
        return compute()
    message: list[Any] = [None, None]
    if torch.distributed.get_rank() == 0:
        try:
            message[0] = compute()
        except Exception as error:  # noqa: BLE001 - raised below, where the others get it too
            message[1] = error
    torch.distributed.broadcast_object_list(message)
    result, failure = message
    if failure is not None:
        raise failure
    return result
