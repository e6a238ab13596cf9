"""Commands for what `--on-disk` copies."""

from pathlib import Path
from typing import Annotated

import typer

from scmoe.cli._options import CacheDir
from scmoe.cli._wording import reported

app = typer.Typer(help="What --on-disk has copied.", no_args_is_help=True)


@app.callback()
def main() -> None:
    """What --on-disk has copied."""


@app.command()
def remove(
    file: Annotated[Path, typer.Argument(help="The file that was read; it need not be there.", show_default=False)],
    cache_dir: CacheDir = None,
) -> None:
    """Remove what --on-disk has copied of FILE."""
    with reported():
        from scmoe.datasets._read import remove_cache

        remove_cache(file, cache_dir=cache_dir)
