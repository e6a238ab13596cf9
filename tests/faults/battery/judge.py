"""What came of a case: right, refused, barred, raw, silent or lost, by rules that are the same for all."""

import ast
import functools
import logging
import re
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import scmoe
from battery.world import World

SOURCE = Path(scmoe.__file__).parent
GOOD = ("right", "refused")
VERDICTS = (*GOOD, "barred", "raw", "silent", "lost", "skipped")
SHORTEST = 35
"""Characters that a message needs to say what is wrong and what to do."""
OWN_TYPES = (
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    OSError,
    RuntimeError,
    FloatingPointError,
    NotImplementedError,
)
ABSENT = re.compile(r"^(module 'scmoe|type object '(SCM|XTR)|'(SCM|XTR)).*has no attribute|^No scmoe|No such command")
"""What is not there in an older version that is compared."""
EXPECTATION = re.compile(
    r"\b(must|should|expected|needs?|only|cannot|one of|at least|at most|between|not a|no |none|does not|nothing)\b"
    r"|\b(found|which has|missing|run|did you mean|instead)\b",
    re.IGNORECASE,
)
"""How a message says what would be right: an expectation, or a second sentence with advice."""
COMPLETE = re.compile(r"must .*; found ")
"""What says enough, however short."""
ADVICE = re.compile(r"[.;] \w")


@dataclass(frozen=True, kw_only=True)
class Case:
    """One input and what is right for it.

    Parameters
    ----------
    family, name
        Kind of fault, and what is done; together they are unique.
    act
        Does it; an error that it raises or the value that it returns is judged.
    words
        A refusal names at least one of them: the argument, or the place.
    right
        Whether a value returned without an error is right; by default none is, and only a refusal will do.
    warning
        Pattern of a warning, in the log or from `warnings`, that makes a value right, too.
    refusable
        Whether a refusal will do.
    alters
        Paths of the data, as `World.changes` writes them, that the call may change, as its documentation says.
    """

    family: str
    name: str
    act: Callable[[World], Any]
    words: tuple[str, ...] = ()
    right: Callable[[Any, World], bool] | None = None
    warning: str = ""
    refusable: bool = True
    alters: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """The verdict on a case and the text that explains it."""

    verdict: str
    text: str


class Lost(AssertionError):
    """An `act` or a `right` that looks after files raises it: something of the user's is gone or altered."""


def judge(case: Case, world: World) -> Outcome:
    """Run one case and judge it.

    ``lost``: something of the user's was altered, whatever else came. ``refused``: an error that a ``raise`` of scmoe
    raised, of a type that says whose fault it is, with a message that is long enough, names the place and says what
    would be right. ``raw``: any other error. ``barred``: such a refusal of what is right. ``silent``: no error and a
    wrong value. ``skipped``: what is called is not there. ``right``: all else.
    """
    try:
        with messages() as log:
            value = case.act(world)
            fine = case.right is not None and bool(case.right(value, world))
        warned = bool(case.warning) and re.search(case.warning, "\n".join(log), re.IGNORECASE | re.DOTALL)
        outcome = Outcome("right" if fine or warned else "silent", f"gave {_brief(value)}")
    except Lost as error:
        return Outcome("lost", str(error))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - which error comes is the result
        outcome = of_error(error, case)
    changes = [path for path in world.changes() if not path.endswith(case.alters or ("/",))]
    return Outcome("lost", f"altered {', '.join(changes[:3])}; {outcome.text}") if changes else outcome


def of_error(error: BaseException, case: Case) -> Outcome:
    """The verdict on an error."""
    message = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    text = f"{type(error).__name__}: {message}"
    if ABSENT.search(message) and not inside(error):
        return Outcome("skipped", text)
    faults = list(_faults(error, message, case))
    if faults:
        return Outcome("raw", f"{text[:300]} [{'; '.join(faults)}]")
    return Outcome("refused" if case.refusable else "barred", text)


def _faults(error: BaseException, message: str, case: Case) -> Iterator[str]:
    """What a message lacks to be a refusal."""
    if not isinstance(error, OWN_TYPES):
        yield f"{type(error).__name__} is no error of input"
    yield from message_faults(message, case.words)
    if not raised_by_us(error) and not isinstance(error, Reported):
        frame = traceback.extract_tb(error.__traceback__)[-1]
        yield f"raised at {Path(frame.filename).name}:{frame.lineno}, not by a raise of scmoe"


def message_faults(message: str, words: tuple[str, ...]) -> Iterator[str]:
    """What a message lacks, whoever raised it."""
    if len(message) < SHORTEST and not COMPLETE.search(message):
        yield "too short"
    if words and not any(word.lower() in message.lower() for word in words):
        yield f"names none of {', '.join(words)}"
    if not EXPECTATION.search(message) and not ADVICE.search(message):
        yield "does not say what would be right"


class Reported(ValueError):
    """An error that a command reported on its own, without a traceback."""


def inside(error: BaseException) -> bool:
    """Whether the innermost frame is in a file of scmoe."""
    return Path(traceback.extract_tb(error.__traceback__)[-1].filename).is_relative_to(SOURCE)


def raised_by_us(error: BaseException) -> bool:
    """Whether the innermost frame is a ``raise`` statement in a file of scmoe."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return inside(error) and frame.lineno in raise_lines(Path(frame.filename))


@functools.cache
def raise_lines(path: Path) -> frozenset[int]:
    """The lines of a file that belong to a ``raise`` of a new error."""
    nodes = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Raise)]
    return frozenset(line for node in nodes if node.exc for line in range(node.lineno, (node.end_lineno or 0) + 1))


@contextmanager
def messages() -> Iterator[list[str]]:
    """What is warned of and logged meanwhile, as lines that say which."""
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(f"{record.levelname}: {record.getMessage()}")
    logger = logging.getLogger("scmoe")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        logger.addHandler(handler)
        try:
            yield lines
        finally:
            logger.removeHandler(handler)
            lines += [f"WARNING: {each.message}" for each in caught]


def _brief(value: Any) -> str:
    try:
        text = repr(value)
    except Exception as error:  # noqa: BLE001 - a value that cannot be shown is a result as well
        text = f"a {type(value).__name__} that cannot be shown: {error}"
    return re.sub(r"\s+", " ", text)[:150]
