"""Training curves."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from mudata import MuData

from scmoe._keys import DEFAULT_KEY, HISTORY
from scmoe.arguments._checked import checks_arguments
from scmoe.datasets._anndata import reads_anndata
from scmoe.pl._axes import axes_or_new
from scmoe.pl._save import finish
from scmoe.pl._tables import stored_table

TOTAL_LOSSES = {
    "train_loss": "train loss (all terms)",
    "validation_loss": "validation loss (decoding)",
}
"""Their labels: the two are sums of different terms, so their levels cannot be compared."""


@checks_arguments
@reads_anndata
def history(
    mdata: MuData,
    *,
    losses: Sequence[str] | None = None,
    key: str = DEFAULT_KEY,
    ax: Axes | None = None,
    show: bool | None = None,
    save: str | Path | None = None,
) -> Axes | None:
    """Draw the losses of every epoch; a dot marks the lowest value of a validation loss.

    Parameters
    ----------
    mdata
        Data with results of `scmoe.tl.train`.
    losses
        Columns of ``mdata.uns[key]["history"]`` to draw; default the total training and validation loss.
    key
        The ``key_added`` of the training.
    ax
        Axes to draw into; a new figure if None.
    show
        Show the figure and return nothing.
    save
        File to write the figure to.

    Returns
    -------
    The axes, unless `show` is True.

    Raises
    ------
    KeyError
        If no history is stored, or it has no column of that name.
    """
    table = stored_table(mdata, key, HISTORY, "scmoe.tl.train")
    columns = [name for name in TOTAL_LOSSES if name in table] if losses is None else list(losses)
    columns = columns or list(table.columns)
    missing = [name for name in columns if name not in table]
    if missing:
        raise KeyError(f"The history has no column {missing[0]!r}; it has {', '.join(map(str, table.columns))}.")
    ax = axes_or_new(ax, 5, 3.2)
    for number, name in enumerate(columns):
        values = table[name].astype(float).dropna()
        epochs, curve = values.index.astype(int).to_numpy(), values.to_numpy()
        color, marker = f"C{number}", "o" if len(values) == 1 else ""
        ax.plot(epochs, curve, color=color, marker=marker, label=TOTAL_LOSSES.get(name, name.replace("_", " ")))
        if name.startswith("validation") and len(values) > 1:
            best = int(curve.argmin())
            ax.plot(epochs[best], curve[best], "o", color=color)
    ax.set(xlabel="epoch", ylabel="loss")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_title(f"Training of {key}, {len(table)} epochs", loc="left", fontsize="medium")
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False)
    return finish(ax, show=show, save=save)
