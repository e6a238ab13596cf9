"""How many threads a network is worth on a CPU."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import torch

WIDE = 256
"""From this width on, the matrix products are large enough to share out.

Measured on two cores: below it, a second thread saves a tenth of the time when the machine is idle, and costs twenty
times the time when it is not, because threads that wait for each other at every small product spin; at it, it saves a
third.
"""


@contextmanager
def threads_kept(during: int | None = None) -> Iterator[None]:
    """Compute with this number of threads (None: as it is), and have afterwards as many as before."""
    before = torch.get_num_threads()
    if during is not None:
        torch.set_num_threads(during)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def threads_worth(width: int) -> int | None:
    """One thread if the network is narrow; None: as many as there are."""
    return 1 if width < WIDE else None


def threads_for(width: int) -> AbstractContextManager[None]:
    """Compute with one thread if the network is narrow; the caller's number of threads is restored."""
    return threads_kept(threads_worth(width))
