"""The command line."""

from scmoe.cli._main import app

__all__ = ["app"]
