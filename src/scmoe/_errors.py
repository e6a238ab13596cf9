"""How the command line reports errors."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout

import typer

INTERRUPTED = 130
"""Exit code of a program that was stopped with Ctrl-C (128 + SIGINT), as shells expect it."""


@contextmanager
def reported_errors(hint: str = "") -> Iterator[None]:
    """Turn errors of input and output into one readable block on stderr, and keep stdout for results."""
    try:
        with redirect_stdout(sys.stderr):
            yield
    except (ValueError, KeyError, OSError, FloatingPointError) as error:
        message = error.args[0] if isinstance(error, KeyError) and error.args else error
        typer.echo(f"Error: {message}", err=True)
        raise typer.Exit(1) from error
    except KeyboardInterrupt as error:
        typer.echo(f"\nInterrupted. {hint}".rstrip(), err=True)
        raise typer.Exit(INTERRUPTED) from error
