"""Training curves."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from mudata import MuData

from scmoe._keys import DEFAULT_KEY, HISTORY
from scmoe.arguments._checked import checks_arguments
from scmoe.datasets._anndata import reads_anndata
from scmoe.pl._axes import axes_or_new
from scmoe.pl._save import finish
from scmoe.pl._style import COLORS, COLUMN, for_print
from scmoe.pl._tables import stored_table

DECODING = {"own": "from its own state", "cross": "from other states"}
"""Terms that training and validation have alike: decoding a modality from its own state, and from those of others."""
TOTAL_LOSSES = {
    "train_loss": "train loss (all terms)",
    "validation_loss": "validation loss (decoding)",
}
"""Their labels: the two are sums of different terms, so their levels cannot be compared."""


@checks_arguments
@reads_anndata
@for_print
def history(
    mdata: MuData,
    *,
    losses: Sequence[str] | None = None,
    key: str = DEFAULT_KEY,
    ax: Axes | None = None,
    show: bool | None = None,
    save: str | Path | None = None,
    return_fig: bool = False,
) -> Axes | Figure | None:
    """Draw the losses of every epoch, dashed for training and solid for validation, whose lowest value has a dot.

    By default the losses of decoding, which both have alike: a modality from its own state, and from those of others.

    Parameters
    ----------
    mdata
        Data with results of `scmoe.tl.train`.
    losses
        Columns of ``mdata.uns[key]["history"]`` to draw; default those of decoding, in training and validation, or
        the total losses where there are no such terms.
    key
        The ``key_added`` of the training.
    ax
        Axes to draw into; a new figure if None.
    show
        Show the figure and return nothing.
    save
        File to write the figure to; its ending says the format.
    return_fig
        Return the figure.

    Returns
    -------
    The axes; with `return_fig` their figure; nothing with `show`.

    Raises
    ------
    KeyError
        If no history is stored, or it has no column of that name.

    Examples
    --------
    >>> ax = scmoe.pl.history(mdata)
    """
    table = stored_table(mdata, key, HISTORY, "scmoe.tl.train")
    columns = _default(list(map(str, table.columns))) if losses is None else list(losses)
    missing = [name for name in columns if name not in table]
    if missing:
        raise KeyError(f"The history has no column {missing[0]!r}; it has {', '.join(map(str, table.columns))}.")
    ax = axes_or_new(ax, COLUMN, 2.4)
    terms = list(dict.fromkeys(map(_term, columns)))
    for name in columns:
        values = table[name].astype(float).dropna()
        epochs, curve = values.index.astype(int).to_numpy(), values.to_numpy()
        number = terms.index(_term(name)) if len(terms) < len(columns) else columns.index(name)
        color, validation = COLORS[number % len(COLORS)], name.startswith("validation")
        style: dict[str, Any] = {"marker": "o" if len(values) == 1 else "", "linestyle": "-" if validation else "--"}
        ax.plot(epochs, curve, color=color, label=TOTAL_LOSSES.get(name, _label(name)), **style)
        if validation and len(values) > 1:
            best = int(curve.argmin())
            ax.plot(epochs[best], curve[best], "o", color=color, markersize=4)
    of_decoding = set(terms) <= set(DECODING)
    ax.set(xlabel="epoch", ylabel="loss of decoding a modality" if of_decoding else "loss")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_title(f"Training of {key}, {len(table)} epochs", loc="left")
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False)
    return finish(ax, show=show, save=save, return_fig=return_fig)


def _default(columns: Sequence[str]) -> list[str]:
    """Losses of decoding that training and validation have; else the totals, or all that there is."""
    decoding = [name for term in DECODING if (name := f"train_{term}") in columns]
    pairs = [each for name in decoding for each in (name, name.replace("train", "validation")) if each in columns]
    return pairs or [name for name in TOTAL_LOSSES if name in columns] or list(columns)


def _label(column: str) -> str:
    """What the legend calls a column."""
    part, _, term = column.partition("_")
    return f"{part}, {DECODING[term]}" if term in DECODING else column.replace("_", " ")


def _term(column: str) -> str:
    """What of the loss a column is of, whatever the cells."""
    return column.removeprefix("train_").removeprefix("validation_")
