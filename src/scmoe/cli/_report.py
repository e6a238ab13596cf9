"""`scmoe report`."""

from pathlib import Path
from typing import Annotated

import typer

from scmoe._keys import DEFAULT_KEY
from scmoe.cli._options import CacheDir, OnDisk, Overwrite
from scmoe.cli._wording import reported


def report(
    file: Annotated[
        Path,
        typer.Argument(help="Data with results: the result.h5mu of 'scmoe train' or 'scmoe map'.", show_default=False),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Page to write, ending in .html.", show_default=False)],
    color: Annotated[
        list[str] | None, typer.Option(help="Column or feature to color the map by (repeat for several).")
    ] = None,
    title: Annotated[str | None, typer.Option(help="Heading; default the name of the page.")] = None,
    key: Annotated[str, typer.Option(help="Name of the results.")] = DEFAULT_KEY,
    on_disk: OnDisk = False,
    cache_dir: CacheDir = None,
    overwrite: Overwrite = False,
) -> None:
    """Write one page about the results of FILE that any browser opens: warnings, map, training, labels, predictions."""
    with reported():
        from scmoe._check import check_results_there
        from scmoe._keys import MARKERS, Keys
        from scmoe.cli._files import refuse_existing
        from scmoe.datasets._read import read
        from scmoe.io._files import check_writable
        from scmoe.pl._report import check_suffix
        from scmoe.pl._report import report as write
        from scmoe.pl.page._page import setup_column
        from scmoe.tl._markers import markers
        from scmoe.tl._umap import umap

        check_suffix(output)
        refuse_existing(output, overwrite)
        check_writable(output.parent)
        mdata = read(file, on_disk=on_disk, cache_dir=cache_dir)
        check_results_there(mdata, key)
        keys = Keys(name=key)
        if keys.umap not in mdata.obsm and keys.embedding in mdata.obsm:
            umap(mdata, key_added=key)  # in memory only, as the markers: the file stays as it is
        if MARKERS not in mdata.uns[key] and keys.cluster in mdata.obs:
            batch_key = setup_column(mdata, key, "batch_key")
            markers(mdata, groupby=keys.cluster, batch_key=batch_key, key_added=key)
        write(mdata, output, color=color or (), title=title, key=key)
    typer.echo(f"Written to {output}")
