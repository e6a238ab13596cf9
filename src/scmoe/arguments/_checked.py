"""`checks_arguments`: a public function that looks at its arguments before it begins."""

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from scmoe.arguments._keywords import OWNERS, check_keywords
from scmoe.arguments._types import check, plain

F = TypeVar("F", bound=Callable[..., Any])
C = TypeVar("C")
OTHERS = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)


def checks_arguments(function: F) -> F:
    """Let a public function check names, types and ranges of its arguments, as its signature and `RANGES` say.

    Every public function and method has this, so that none has to; what an argument must be in the light of the data
    or of other arguments is the function's own business.

    Parameters
    ----------
    function
        Annotated in full. An annotation that only type checkers can read (``"SCMOE"``) is compared with the names of
        the value's classes.
    """

    @functools.wraps(function)
    def checked(*args: Any, **kwargs: Any) -> Any:
        signature = _signature(function)
        with _explained(function, signature, args, kwargs):
            bound = signature.bind_partial(*args, **kwargs)
        for name, value in bound.arguments.items():
            parameter = signature.parameters[name]
            if name not in OWNERS and parameter.kind not in OTHERS:
                if parameter.annotation is not parameter.empty and value is not parameter.default:
                    check(name, value, parameter.annotation)
                    bound.arguments[name] = plain(value)
        with _explained(function, signature, args, kwargs):
            signature.bind(*args, **kwargs)
        return function(*bound.args, **bound.kwargs)

    return checked  # type: ignore[return-value]


def checks_fields(cls: type[C]) -> type[C]:
    """Let a dataclass of settings check its fields as `checks_arguments` does, before what it does itself.

    Parameters
    ----------
    cls
        A dataclass.
    """
    cls.__init__ = checks_arguments(cls.__init__)  # type: ignore[method-assign]
    return cls


@functools.cache
def _signature(function: Callable[..., Any]) -> inspect.Signature:
    return inspect.signature(function)


@contextmanager
def _explained(
    function: Callable[..., Any], signature: inspect.Signature, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Iterator[None]:
    """Say in words which arguments a function has, and which is meant."""
    try:
        yield
    except TypeError as error:
        name = _name(function, args)
        names = [each for each in signature.parameters if each not in OWNERS]
        check_keywords(name, kwargs, names)
        raise TypeError(f"{name}: {error}. Its arguments are {', '.join(names)}.") from None


def _name(function: Callable[..., Any], args: tuple[Any, ...]) -> str:
    """What users call a function."""
    if next(iter(_signature(function).parameters), None) in OWNERS and args:
        owner = args[0] if isinstance(args[0], type) else type(args[0])
        return owner.__name__ if function.__name__ == "__init__" else f"{owner.__name__}.{function.__name__}"
    return ".".join((*function.__module__.split(".")[:2], function.__name__))
