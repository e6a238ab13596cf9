"""`report`: one page that says what was found, for people without Python."""

from collections.abc import Sequence
from pathlib import Path

from mudata import MuData

from scmoe._check import check_results_there
from scmoe._keys import DEFAULT_KEY, Keys
from scmoe.arguments._checked import checks_arguments
from scmoe.datasets._anndata import reads_anndata
from scmoe.io._files import WriteError, atomic_path
from scmoe.pl.page._page import render

SUFFIXES = (".html", ".htm")


@checks_arguments
@reads_anndata
def report(
    mdata: MuData,
    save: str | Path,
    *,
    color: str | Sequence[str] = (),
    title: str | None = None,
    key: str = DEFAULT_KEY,
) -> Path:
    """Write one self-contained page about the results, which any browser opens without a network.

    What is wrong comes first: the verdict on the training, badly mixed batches, declined cells, cells that do not fit.
    Then a map to search and color; what each modality was taken for; losses; clusters; markers; labels and how sure
    they are; mixing of batches; predictions in unseen cells beside ridge regression; experts; settings and versions. A
    section whose results are not there is left out. Nothing is written to `mdata`.

    Parameters
    ----------
    mdata
        Data with results of `scmoe.tl.train` or `scmoe.tl.map_query`. The map needs `scmoe.tl.umap`.
    save
        The ``.html`` file to write.
    color
        Columns of ``obs`` and features to color the map by, the first of which is shown first. The page also has all
        columns with up to 200 categories, and the features that vary most, as many as 3.5 MB hold.
    title
        Heading; default the name of the file.
    key
        The ``key_added`` of the results.

    Returns
    -------
    The file. Of more than 10,000 cells the map shows a random sample (the tables are of all), always the same.

    Raises
    ------
    KeyError
        There are no results under `key`, or something to color by is neither a column nor a feature.
    ValueError
        `save` does not end in ``.html``.
    scmoe.io._files.WriteError
        (an `OSError` and `ValueError`) The file cannot be written.

    Examples
    --------
    >>> import scmoe
    >>> mdata = scmoe.datasets.bmmc_cite()
    >>> scmoe.pp.prepare(mdata)
    >>> model = scmoe.tl.train(mdata, batch_key="batch", umap=True, predict=True)
    >>> page = scmoe.pl.report(mdata, "report.html", color=["cell_type", "CD3"])
    """
    path = Path(save).expanduser()
    check_suffix(path)
    colors = [color] if isinstance(color, str) else list(color)
    check_results_there(mdata, key)
    check_colors(mdata, colors)
    page = render(mdata, Keys(name=key), color=colors, title=title or path.stem)
    with atomic_path(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return path


def check_suffix(path: Path) -> None:
    """Raise unless it is the name of a page."""
    if path.suffix.lower() not in SUFFIXES:
        raise WriteError(f"A report is a page, whose name ends in .html; found {str(path)!r}.")


def check_colors(mdata: MuData, colors: Sequence[str]) -> None:
    """Raise unless all are columns of obs or features of a modality."""
    for name in colors:
        if name not in mdata.obs and not any(name in adata.var_names for adata in mdata.mod.values()):
            raise KeyError(
                f"color={name!r} is neither a column of mdata.obs ({', '.join(map(str, mdata.obs))}) nor a feature of "
                f"{', '.join(mdata.mod)}."
            )
