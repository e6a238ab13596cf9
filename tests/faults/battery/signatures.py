"""Wrong types and numbers for every argument of every public function, from its signature."""

import collections.abc
import inspect
import types
import typing
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from battery.calls import ALTERS, available, call, target
from battery.judge import Case

FAMILY = "types"
POOL: dict[str, Any] = {
    "None": None,
    "'16'": "16",
    "1.5": 1.5,
    "[]": [],
    "{}": {},
    "object()": object(),
    "3": 3,
    "True": True,
    "Series": pd.Series([1, 2]),
}
A_CALL = 2
"""Wrong types that each argument is tried with, in turn."""
SIGNED = {"layer", "head", "expert"}
"""Whole numbers that may be negative, or count from the end."""
SHARES = {"coverage", "level", "rollup_confidence", "min_share", "train_size", "validation_size", "dropout"}
SHARES |= {"feature_dropout", "decoder_dropout", "p_split", "warmup", "ema", "nonzero_rate", "zero_rate"}
SYNONYMS = dict.fromkeys(("mdata", "adata", "data"), ("MuData", "AnnData"))
"""What a message may say instead of an argument's name."""
SYNONYMS |= {"transform_batch": ("batch",), "table": ("frame",), "tables": ("frame",)}
NOT_OURS = {"self", "args", "kwargs", "ax", "trainer_kwargs", "registry"}
FREE = (Any, inspect.Parameter.empty)


def members(annotation: Any) -> list[Any]:
    """The types of a union, one by one."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return [each for part in typing.get_args(annotation) for each in members(part)]
    return [annotation]


def fits(value: Any, kind: Any) -> bool:
    """Whether a value may be meant for a type; where that is unclear, it may."""
    if typing.get_origin(kind) is typing.Literal:
        return isinstance(value, str | int) and value in typing.get_args(kind)
    name = getattr(typing.get_origin(kind) or kind, "__name__", str(kind))
    if name in ("int", "float", "integer"):
        return isinstance(value, bool) or isinstance(value, int) or (name == "float" and isinstance(value, float))
    if name in ("str", "Path", "PathLike", "SCMOE", "Vocabulary"):
        return isinstance(value, str) and name in ("str", "Path", "PathLike")
    if name == "bool":
        return isinstance(value, bool)
    if name == "NoneType":
        return value is None
    if name in ("Mapping", "dict"):
        return isinstance(value, collections.abc.Mapping)
    if name in ("Sequence", "list", "tuple", "Iterable", "ndarray", "Series"):
        return isinstance(value, str | list | pd.Series | np.ndarray | dict)
    if name in ("MuData", "AnnData", "DataFrame", "Series"):
        return False
    return True


def values_of(name: str, parameter: inspect.Parameter) -> Iterator[tuple[str, Any]]:
    """Wrong values for an argument, with their names; which types come in turn depends on the argument."""
    kinds = members(annotation_of(parameter))
    if str(parameter.annotation).endswith("| None"):
        kinds = [*kinds, type(None)]
    wrong = [(text, value) for text, value in POOL.items() if not any(fits(value, kind) for kind in kinds)]
    start = sum(map(ord, name + parameter.name))
    yield from [wrong[(start + i) % len(wrong)] for i in range(min(A_CALL, len(wrong)))]
    if int in kinds and parameter.name not in SIGNED:
        yield "-1", -1
    if float in kinds:
        yield "nan", float("nan")
        if parameter.name in SHARES:
            yield from (("1e300", 1e300), ("-1", -1))
    if parameter.name == "seed":
        yield "2**70", 2**70
    if any(typing.get_origin(kind) is typing.Literal for kind in kinds):
        yield "'nonsense'", "nonsense"


def annotation_of(parameter: inspect.Parameter) -> Any:
    """The annotation; names that are there for type checkers only stay names."""
    text = parameter.annotation
    if isinstance(text, str):
        return types.SimpleNamespace(__name__=text.removesuffix(" | None"))
    return text


def cases() -> Iterator[Case]:
    for name in available():
        for parameter in inspect.signature(target(name)).parameters.values():
            if parameter.name in NOT_OURS or parameter.kind is parameter.VAR_KEYWORD or parameter.annotation in FREE:
                continue
            for text, value in values_of(name, parameter):
                yield case(name, parameter.name, text, value)


def case(name: str, argument: str, text: str, value: Any) -> Case:
    return Case(
        family=FAMILY,
        name=f"{name}({argument}={text})",
        act=lambda world: call(name, world, **{argument: value}),
        words=(argument, *SYNONYMS.get(argument, ())),
        alters=ALTERS.get(name, ()),
    )
