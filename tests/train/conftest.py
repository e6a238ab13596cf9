from collections.abc import Callable
from typing import Any

import pytest
import torch
from pandas.testing import assert_frame_equal


@pytest.fixture(scope="session")
def assert_same() -> Callable[[Any, Any], None]:
    """Fails unless weights, history and diagnostics of two models agree bit by bit."""

    def check(first: Any, second: Any) -> None:
        a, b = first.module.state_dict(), second.module.state_dict()
        assert a.keys() == b.keys()
        assert [name for name in a if not torch.equal(a[name], b[name])] == []
        assert_frame_equal(first.history, second.history, check_exact=True)
        assert repr(first.diagnostics) == repr(second.diagnostics)  # NaN is not equal to itself

    return check
