"""How the command line reports errors."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout

import typer

INTERRUPTED = 130
"""Exit code of a program that was stopped with Ctrl-C (128 + SIGINT), as shells expect it."""


@contextmanager
def reported_errors(hint: str = "", *, wording: Callable[[str], str] = str) -> Iterator[None]:
    """Turn errors of input and output into one readable block on stderr, and keep stdout for results.

    Parameters
    ----------
    hint
        What to do after an interruption.
    wording
        What makes the words of the command line of a message.
    """
    try:
        with redirect_stdout(sys.stderr):
            yield
    except (ValueError, KeyError, OSError, FloatingPointError) as error:
        message = error.args[0] if isinstance(error, KeyError) and error.args else error
        typer.echo(f"Error: {wording(str(message))}", err=True)
        raise typer.Exit(1) from error
    except KeyboardInterrupt as error:
        typer.echo(f"\nInterrupted. {hint}".rstrip(), err=True)
        raise typer.Exit(INTERRUPTED) from error
