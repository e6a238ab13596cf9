"""How the command line reports errors and interruptions."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout

import typer

from scmoe._log import FIELDS, PrintedLines, is_json, logger

INTERRUPTED = 128 + signal.SIGINT
"""Exit code of a program that was stopped with Ctrl-C, as shells expect it."""
DEBUG = "SCMOE_DEBUG"
"""Environment variable that shows tracebacks."""
EXPECTED = (ValueError, KeyError, OSError, ImportError, FloatingPointError)
"""What input, files and packages that are not installed cause."""
SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


@contextmanager
def reported_errors(hint: str = "", *, wording: Callable[[str], str] = str) -> Iterator[None]:
    """Turn errors and interruptions into one readable block on stderr, and keep stdout for results.

    Parameters
    ----------
    hint
        What to do after an interruption.
    wording
        What makes the words of the command line of a message.
    """
    with _interruptions() as received:
        try:
            with redirect_stdout(PrintedLines() if is_json() else sys.stderr):
                yield
        except typer.Exit:
            raise
        except KeyboardInterrupt as error:
            raise _interrupted(received, hint) from error
        except Exception as error:  # whatever it is, the user gets a sentence
            if received:  # libraries make other errors of an interruption
                raise _interrupted(received, hint) from error
            if os.environ.get(DEBUG):
                raise
            _say(wording(_message(error)), "Error: ", 1)
            raise typer.Exit(1) from error


@contextmanager
def _interruptions() -> Iterator[list[int]]:
    """Let the signals that end a program raise, so that nothing half-written stays; yields those received."""
    received: list[int] = []

    def interrupt(number: int, _: object) -> None:
        received.append(number)
        raise KeyboardInterrupt

    usual = (signal.SIG_DFL, signal.default_int_handler)  # `nohup`, for one, has others ignored
    is_main = threading.current_thread() is threading.main_thread()
    before = {number: signal.getsignal(number) for number in SIGNALS} if is_main else {}
    before = {number: handler for number, handler in before.items() if handler in usual}
    try:
        for number in before:
            signal.signal(number, interrupt)
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupted(received: list[int], hint: str) -> typer.Exit:
    code = 128 + received[0] if received else INTERRUPTED
    _say(f"Interrupted. {hint}".rstrip(), "\n", code)
    return typer.Exit(code)


def _say(message: str, before: str, code: int) -> None:
    """The last words of a command: a block of text, or a line of the log."""
    if is_json():
        logger.error("%s", message, extra={FIELDS: {"exit_code": code}})
    else:
        typer.echo(before + message, err=True)


def _message(error: Exception) -> str:
    """What an error says, if it is one that input, files or the machine can cause; else where to report it."""
    text = str(error.args[0] if isinstance(error, KeyError) and error.args else error)
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":  # that of torch
        return f"The memory is full. {text}".strip()
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"Cannot use {error.filename}: {error.strerror}."
    is_sentence = " " in text  # a bare key is what a dictionary says of itself
    if isinstance(error, EXPECTED) and is_sentence:
        return text
    return (
        f"scmoe failed in a way that it should not ({type(error).__name__}: {text}). Please report this where you have "
        f"scmoe from, with the traceback that the same command shows after {DEBUG}=1."
    )
