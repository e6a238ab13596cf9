"""The calls that the faulty ones start from do work: otherwise a refusal would say nothing."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from battery.calls import ALTERS, CALLS, call
from battery.judge import Case

FAMILY = "right"


def cases() -> Iterator[Case]:
    for name in CALLS:
        yield Case(
            family=FAMILY,
            name=f"{name}()",
            act=lambda world, name=name: call(name, world),
            right=lambda value, world: finite(value),
            refusable=False,
            alters=ALTERS.get(name, ()),
        )


def finite(value: object) -> bool:
    """Whether an array or a frame of numbers holds only finite ones; of other results nothing is asked."""
    if isinstance(value, pd.DataFrame):
        value = value.select_dtypes("number").to_numpy()
    return not isinstance(value, np.ndarray) or value.dtype.kind != "f" or bool(np.isfinite(value).all())
