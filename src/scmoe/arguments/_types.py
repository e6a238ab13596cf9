"""Whether a value is of the type that an argument is annotated with, and what to say if not."""

import os
import types
from collections.abc import Callable, Iterable, KeysView, Mapping, Sequence, Set, ValuesView
from difflib import get_close_matches
from numbers import Integral, Real
from typing import Any, ForwardRef, Literal, TypeVar, Union, get_args, get_origin

import numpy as np
import pandas as pd
from scipy import sparse

from scmoe.arguments._ranges import RANGES, Range

ARRAY = object()
"""Stands for whatever numpy makes an array of; where names matter, those of a Series are matched."""
UNLOOKED = {"indices", "cells", "recall", "n_train"}
"""Arguments whose entries are looked at where the cells or labels that they belong to are known."""
MANY: Any = (Sequence, KeysView, ValuesView, pd.Index, pd.Series, pd.api.extensions.ExtensionArray, np.ndarray)
"""What counts as a list: it has an order, so that a set does not."""
MOST_ENTRIES = 1000
"""Of a list whose entries are looked at."""
REMEDIES = {
    "MuData": "Read one with scmoe.datasets.read(path).",
    "AnnData": "Of a MuData, pass one modality: mdata['rna'].",
    "SCMOE": "Train one with scmoe.tl.train(mdata), or load one with scmoe.model.SCMOE.load(folder).",
    "XTRIMOGENE": "Train one with scmoe.tl.pretrain(adata), or load one with scmoe.model.XTRIMOGENE.load(folder).",
}
"""What to do where something of that class is expected and something else is given."""


def check(name: str, value: Any, hint: Any) -> None:
    """Raise if a value is not what an argument is annotated with.

    Parameters
    ----------
    name
        Of the argument, for the message and for its range.
    value, hint
        What is given, and the annotation. What it does not tell is not checked.

    Raises
    ------
    TypeError
        A value of another type.
    ValueError
        A number out of range, or none of the options.
    """
    options = list(_options(hint))
    misfits = [_misfit(name, value, option) for option in options]
    if None in misfits:
        return
    for inner in misfits:
        if isinstance(inner, Exception):
            raise inner
    text = f"{name} must be {_described(name, options)}; found {shown(value)}.{_remedy(value, options)}"
    raise _kind(value, options)(text)


def plain(value: Any) -> Any:
    """A number, word or truth value of numpy's as Python's: Lightning and JSON files take no other."""
    return value.item() if isinstance(value, (np.number, np.bool_, np.str_)) else value


def shown(value: Any) -> str:
    """A value, or what it is if it is long."""
    if isinstance(value, (str, Real, type(None), list, tuple, set, dict)) and len(repr(value)) <= 80:
        return repr(value)
    name = type(value).__name__
    return f"{'an' if name[0] in 'AEIOaeio' else 'a'} {name}"


def _options(hint: Any) -> Iterable[Any]:
    """The alternatives of an annotation, simplified."""
    if isinstance(hint, ForwardRef):
        hint = hint.__forward_arg__
    if isinstance(hint, str):
        yield from (None if part == "None" else part for part in map(str.strip, hint.split("|")))
    elif isinstance(hint, TypeVar):
        yield from hint.__constraints__ or ([hint.__bound__] if hint.__bound__ else [Any])
    elif get_origin(hint) in (Union, types.UnionType):
        parts = get_args(hint)
        if bytes in parts:  # ArrayLike, a union of many things
            yield ARRAY
            parts = tuple(part for part in parts if part is type(None))
        for part in parts:
            yield from _options(part)
    elif hint is type(None):
        yield None
    elif _is_array(hint):
        yield ARRAY
    else:
        yield hint


def _is_array(hint: Any) -> bool:
    module = getattr(get_origin(hint) or hint, "__module__", "") or ""
    return hint in (np.ndarray, pd.Series) or get_origin(hint) is np.ndarray or module.startswith("numpy._typing")


def _misfit(name: str, value: Any, option: Any) -> Exception | None | Literal[False]:
    """None if the value fits; an error that speaks of one of its entries, or False if it does not fit at all."""
    origin, parts = get_origin(option) or option, get_args(option)
    if origin is Any:
        return None
    if isinstance(option, str):
        names = (base.__name__ for base in type(value).__mro__)
        return None if option in names or not option.isidentifier() else False
    if origin is Literal:
        return None if any(type(value) is type(part) and value == part for part in parts) else False
    if origin is sparse.csr_matrix:
        return None if sparse.issparse(value) else False
    if origin in CHECKS:
        return None if CHECKS[origin](name, value) else False
    if _is_mapping(origin):
        if not isinstance(value, Mapping):
            return False
        return None if name in UNLOOKED else _misfit_of_entries(name, value.items(), parts[1:])
    if origin in (Sequence, Iterable, list, tuple, set, frozenset):
        kinds = Iterable if origin is Iterable else MANY
        if not _is_list(value) or not isinstance(value, kinds):
            return False
        if name in UNLOOKED or not isinstance(value, MANY) or len(value) > MOST_ENTRIES:
            return None  # an iterator can be read once, and long lists are looked at where they are read
        return _misfit_of_entries(name, enumerate(value), parts[:1])
    return None if not isinstance(origin, type) or isinstance(value, origin) else False


def _misfit_of_entries(name: str, entries: Iterable[tuple[Any, Any]], hints: tuple[Any, ...]) -> Exception | None:
    for key, entry in entries if hints else ():
        try:
            _check_entry(name, key, entry, hints[0])
        except (TypeError, ValueError) as error:
            return error
    return None


def _check_entry(name: str, key: Any, entry: Any, hint: Any) -> None:
    try:
        check(name, entry, hint)
    except (TypeError, ValueError) as error:
        raise type(error)(str(error).replace(name, f"{name}[{key!r}]", 1)) from None


def _is_list(value: Any) -> bool:
    return isinstance(value, Iterable) and not isinstance(value, (str, bytes, Mapping))


def _is_number(name: str, value: Any, kind: type) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool) and RANGES.get(name, Range()).holds(value)


CHECKS: Mapping[Any, Callable[[str, Any], bool]] = {
    None: lambda name, value: value is None,
    ARRAY: lambda name, value: hasattr(value, "__array__") or _is_list(value),
    bool: lambda name, value: isinstance(value, (bool, np.bool_)),
    int: lambda name, value: _is_number(name, value, Integral),
    float: lambda name, value: _is_number(name, value, Real),
    str: lambda name, value: isinstance(value, str),
    os.PathLike: lambda name, value: isinstance(value, os.PathLike),
}


def _is_mapping(option: Any) -> bool:
    origin = get_origin(option) or option
    return isinstance(origin, type) and issubclass(origin, Mapping)


def _described(name: str, options: Sequence[Any]) -> str:
    texts = dict.fromkeys(_noun(name, option) for option in options if option is not None)
    return " or ".join(filter(None, (*texts, "None" if None in options else "")))


def _noun(name: str, option: Any) -> str:
    origin, parts = get_origin(option) or option, get_args(option)
    if origin is Literal:
        return ("one of " if len(parts) > 1 else "") + ", ".join(map(repr, parts))
    if origin in (int, float):
        bounds = str(RANGES.get(name, Range()))
        return ("a whole number" if origin is int else "a number") + (f" {bounds}" if bounds else "")
    if origin in NOUNS:
        return NOUNS[origin]
    if _is_mapping(origin):
        return "a dict"
    if origin in (Sequence, Iterable, list, tuple, set, frozenset):
        inner = _options(parts[0]) if parts else ()
        plural = next((PLURALS[part] for part in inner if part in PLURALS), "entries")
        return f"a list of {plural}"
    text = option if isinstance(option, str) else getattr(origin, "__name__", str(origin))
    return f"{'an' if text[0] in 'AEIOSX' and text[:2] not in ('Se', 'St') else 'a'} {text}"


NOUNS = {
    sparse.csr_matrix: "a sparse matrix",
    bool: "True or False",
    str: "text",
    ARRAY: "an array, list or Series",
    os.PathLike: "a path",
}
PLURALS = {str: "names", int: "whole numbers", float: "numbers"}


def _kind(value: Any, options: Sequence[Any]) -> type[TypeError | ValueError]:
    """ValueError for what is of the right type."""
    same = {int: Integral, float: Real}
    numeric = any(isinstance(value, same[each]) and not isinstance(value, bool) for each in options if each in same)
    literal = isinstance(value, str) and any(get_origin(each) is Literal for each in options)
    return ValueError if numeric or literal else TypeError


def _remedy(value: Any, options: Sequence[Any]) -> str:
    """What to do, if there is something to say."""
    names = [each if isinstance(each, str) else getattr(each, "__name__", "") for each in options]
    for name, remedy in REMEDIES.items():
        if name in names:
            return f" {remedy}"
    if isinstance(value, float) and value != value and str in options:
        return " Leave out what is missing, for example with dropna()."
    if isinstance(value, pd.Series) and any(map(_is_mapping, options)):
        return " Convert it with to_dict()."
    if isinstance(value, Real) and str in options:
        return f" Pass text, in quotes: '{value}'."
    if isinstance(value, Set):
        return " A set has no order: make it a list."
    if isinstance(value, str):
        literals = [part for each in options if get_origin(each) is Literal for part in get_args(each)]
        if close := get_close_matches(value, [part for part in literals if isinstance(part, str)], n=1):
            return f" Did you mean {close[0]!r}?"
        if any((get_origin(each) or each) in (Sequence, list, tuple) for each in options):
            return f" Put it into a list: [{value!r}]."
        if not literals and any(_is_mapping(each) for each in options):
            return f" Say what it is for: {{...: {value!r}}}."
        if {int, float} & {each for each in options if isinstance(each, type)}:
            return " Pass a number, without quotes." if value.strip("+-").replace(".", "", 1).isdigit() else ""
    return ""
