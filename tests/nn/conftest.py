from collections.abc import Callable

import pytest
import torch
from torch import nn


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.fixture
def shake() -> Callable[[nn.Module], None]:
    """Makes every parameter random: much of a network is zero at the start, and would hide mistakes."""

    def shake(module: nn.Module) -> None:
        for parameter in module.parameters():
            nn.init.normal_(parameter, std=0.5)

    return shake
