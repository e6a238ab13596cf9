"""Options of a command from a file, and the file that a command leaves of its own options."""

import inspect
import json
import os
import tomllib
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from difflib import get_close_matches
from enum import Enum, StrEnum
from functools import wraps
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, NamedTuple, get_args, get_origin, get_type_hints

import typer

from scmoe._log import FORMAT, log_format, logger
from scmoe.cli._wording import reported

RUN = "run.toml"
"""What a command leaves of its options, beside its results."""
COMMAND = "command"
"""Entry of such a file that names the command."""
HEADER = "# Written by scmoe"
"""Begins it: a file that begins otherwise is the user's."""
UNWRITTEN = ("overwrite", "resume", "log-format", "config")
"""Options that say nothing of the results."""
KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text", Path: "text, a path"}


class LogFormat(StrEnum):
    """How the log is written."""

    plain = "plain"
    json = "json"


class Option(NamedTuple):
    """An option or argument of a command."""

    name: str
    """As files that scmoe writes call it."""
    argument: str
    """Of the function."""
    kind: type
    """Of a value."""
    is_list: bool
    """Whether it may be repeated."""


class Run(NamedTuple):
    """A command with the values of its options."""

    command: str
    values: dict[str, Any]


RUNNING: ContextVar[Run | None] = ContextVar("RUNNING", default=None)
"""The present command."""


def with_config(function: Callable[..., None], name: str | None = None) -> Callable[..., None]:
    """A command that takes `--config` and `--log-format` besides its own options.

    Parameters
    ----------
    function
        The command without them.
    name
        Of the command; None: that of the function.
    """
    command = name or function.__name__
    options = _options(function)

    def read(context: typer.Context, file: Path | None) -> Path | None:
        """Options of the file as defaults: those of the command line count more."""
        if file is not None:
            with reported():
                context.default_map = dict(context.default_map or {}) | _values(file, command, options)
        return file

    hints: dict[str, Any] = {
        "config": Annotated[
            Path | None,
            typer.Option(
                "--config",
                is_eager=True,
                callback=read,
                show_default=False,
                help=f"File of options, such as the {RUN} beside earlier results; paths in it are relative to it.",
            ),
        ],
        "log_format": Annotated[
            LogFormat, typer.Option("--log-format", envvar=FORMAT, help="Log as lines for people or as JSON.")
        ],
    }
    defaults = {"config": None, "log_format": LogFormat.plain}

    @wraps(function)
    def run(**arguments: Any) -> None:
        form = arguments.pop("log_format")
        del arguments["config"]
        token = RUNNING.set(Run(command, {option.name: arguments[option.argument] for option in options.values()}))
        try:
            with log_format(form.value):
                function(**arguments)
        finally:
            RUNNING.reset(token)

    signature = inspect.signature(function)
    added = [
        inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=defaults[key], annotation=hint)
        for key, hint in hints.items()
    ]
    own = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in signature.parameters.values()]
    run.__signature__ = signature.replace(parameters=[*own, *added])  # type: ignore[attr-defined]
    run.__annotations__ = get_type_hints(function, include_extras=True) | hints
    return run


def _options(function: Callable[..., None]) -> dict[str, Option]:
    """Options and arguments of a command by all names that users know."""
    options: dict[str, Option] = {}
    for argument, hint in get_type_hints(function, include_extras=True).items():
        if argument != "return":
            annotation, *notes = get_args(hint)
            # Within Annotated, typer takes the first name for the default.
            declared = [name for note in notes for name in (note.default, *(note.param_decls or ()))]
            names = [str(name)[2:] for name in declared if str(name).startswith("--")] or [argument.replace("_", "-")]
            options |= dict.fromkeys(names, Option(names[0], argument, *_kind(annotation)))
    return options


def _kind(annotation: Any) -> tuple[type, bool]:
    """What a value is, and whether there may be several."""
    kinds = [kind for kind in get_args(annotation) or (annotation,) if kind is not NoneType]
    if get_origin(annotation) is list:
        return kinds[0], True
    return _kind(kinds[0]) if kinds[0] is not annotation else (annotation, False)


def _values(file: Path, command: str, options: Mapping[str, Option]) -> dict[str, Any]:
    """Values of a file, by argument; paths are relative to the file's folder.

    Raises
    ------
    ValueError
        The file is no TOML, is of another command, or holds an unknown name or a value of the wrong type.
    """
    file = file.expanduser()
    if not file.is_file():
        raise ValueError(f"--config {file}: there is no such file.")
    try:
        table = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f'--config {file} is no TOML file: {error}. Write lines such as batch = "donor".') from error
    owner = table.pop(COMMAND, command)
    if owner != command:
        raise ValueError(f"--config {file} is of 'scmoe {owner}'; found 'scmoe {command}'. Run 'scmoe {owner}'.")
    values: dict[str, Any] = {}
    for key, value in table.items():
        name = key.replace("_", "-")
        if name not in options:
            close = get_close_matches(name, options, n=1)
            hint = f"Did you mean {close[0]!r}?" if close else f"'scmoe {command} -h' lists them."
            raise ValueError(f"--config {file}: 'scmoe {command}' has no option {key!r}. {hint}")
        option = options[name]
        if option.argument in values:
            raise ValueError(f"--config {file}: {key} is there twice, as {option.name!r} too. Remove one of them.")
        if option.is_list != isinstance(value, list) or not all(_fits(item, option) for item in _items(value)):
            form = KINDS.get(option.kind, KINDS[str])
            form = f"a list, each entry {form}" if option.is_list else form
            raise ValueError(f"--config {file}: {key} must be {form}; found {value!r}.")
        texts = [_text(item, option, file.parent) for item in _items(value)]
        values[option.argument] = texts if option.is_list else texts[0]
    return values


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _text(value: Any, option: Option, folder: Path) -> str | bool:
    """A value as the command line would give it."""
    if isinstance(value, bool):
        return value
    return str(folder / Path(value).expanduser() if option.kind is Path else value)


def _fits(value: Any, option: Option) -> bool:
    if isinstance(value, bool) or option.kind is bool:
        return isinstance(value, bool) and option.kind is bool
    if option.kind is float:
        return isinstance(value, (int, float))
    return isinstance(value, int if option.kind is int else str)


def write_run(folder: Path) -> None:
    """Write the options of the present command to the folder of its results, in place of an earlier such file.

    A file of that name that scmoe has not written stays as it is, and a free name beside it is taken.
    """
    from scmoe.io._files import atomic_path
    from scmoe.io._place import free_beside

    run = RUNNING.get()
    if run is None:  # called as a function
        return
    path = folder / RUN
    if path.exists() and not path.read_bytes().startswith(HEADER.encode()):
        path = free_beside(path, first=2)
        logger.warning("%s is not of scmoe and stays as it is; the options of this run are in %s", folder / RUN, path)
    with atomic_path(path) as temporary:
        temporary.write_text(_toml(run, folder), encoding="utf-8", errors="surrogateescape")


def _toml(run: Run, folder: Path) -> str:
    from scmoe._version import __version__

    values = {name: value for name, value in run.values.items() if value is not None and name not in UNWRITTEN}
    lines = [
        f"{HEADER} {__version__}. 'scmoe {run.command} --config {RUN} -o OTHER' runs again; options given besides",
        "# count more. Paths are relative to this file.",
        *(f"{name} = {_value(value, folder)}" for name, value in ({COMMAND: run.command} | values).items()),
    ]
    return "\n".join(lines) + "\n"


def _value(value: Any, folder: Path) -> str:
    """A value as TOML writes it."""
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(_value(entry, folder) for entry in value)}]"
    if isinstance(value, Path):
        value = _seen_from(folder, value)
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, str):  # JSON's text is TOML's, but for one control character
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007F")
    return repr(value).lower()


def _seen_from(folder: Path, path: Path) -> str:
    """A relative path as it is seen from a folder; the name itself may be a link, and is not followed."""
    place = Path(os.path.realpath(path.parent)) / path.name
    if path.is_absolute() or place.drive != Path(os.path.realpath(folder)).drive:
        return str(place)
    return os.path.relpath(place, os.path.realpath(folder))
