"""Which labels are taken for which."""

from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize

from scmoe.arguments._checked import checks_arguments
from scmoe.pl._heatmap import heatmap
from scmoe.pl._save import finish


@checks_arguments
def confusion(
    table: pd.DataFrame,
    *,
    ax: Axes | None = None,
    show: bool | None = None,
    save: str | Path | None = None,
) -> Axes | None:
    """Draw the share of each true label's cells that is predicted to be each label: rows sum to 1.

    So rare labels are as visible as frequent ones; the diagonal is the recall. The line in the color bar is the mean
    of the diagonal, the balanced accuracy. A label that no cell has is a gray row.

    Parameters
    ----------
    table
        From `scmoe.metrics.confusion_table`.
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
    ValueError
        The table has no cell, or its rows are not its first columns.
    """
    n_cells = table.sum(axis=1)
    names = [str(name) for name in table.index]
    if not n_cells.sum() or [str(name) for name in table.columns[: len(names)]] != names:
        raise ValueError(
            "table must hold cells by true and predicted label, as scmoe.metrics.confusion_table gives them."
        )
    shares = table.div(n_cells.where(n_cells > 0), axis=0)
    recall = pd.Series([shares.iloc[i, i] for i in range(len(names))])
    shares.index = pd.Index(
        [f"{name} ({n})" for name, n in zip(names, n_cells, strict=True)], name="true label (cells)"
    )
    ax = heatmap(
        shares.rename_axis(columns="predicted label"),
        cmap="viridis",
        norm=Normalize(0, 1),
        colorbar=f"share of the true label's cells\n(line: balanced accuracy, {recall.mean():.3g})",
        baseline=float(recall.mean()),
        title="Which labels are taken for which",
        ax=ax,
    )
    return finish(ax, show=show, save=save)
