import pytest
import torch

from scmoe.nn._config import NetworkConfig
from scmoe.nn._network import Network
from scmoe.nn._threads import WIDE, threads_for


@pytest.mark.parametrize(("n_hidden", "inside"), [(64, 1), (WIDE, 2)])
def test_narrow_networks_take_one_thread(n_hidden, inside):
    network = Network([4], ["gaussian"], 1, NetworkConfig(n_hidden=n_hidden))
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with threads_for(network.config.n_hidden):
            assert torch.get_num_threads() == inside
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
