"""How many threads a network is worth on a CPU."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from scmoe.nn._network import Network

WIDE = 256
"""From this width on, the matrix products are large enough to share out.

Measured on two cores: below it, a second thread saves a tenth of the time when the machine is idle, and costs twenty times
the time when it is not, because threads that wait for each other at every small product spin; at it, it saves a third.
"""


@contextmanager
def threads_for(network: Network) -> Iterator[None]:
    """Compute with one thread if the network is narrow; the caller's number of threads is restored."""
    before = torch.get_num_threads()
    if network.config.n_hidden < WIDE:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
