"""What every plot does at its end."""

from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.figure import Figure, SubFigure


def show_or_save(figure: Figure | SubFigure | None, *, show: bool | None, save: str | Path | None) -> bool:
    """Write the figure to `save` (if given) and show it (if asked); tells whether it was shown."""
    if save is not None and figure is not None:
        root = figure if isinstance(figure, Figure) else figure.figure
        root.savefig(save, dpi=150, bbox_inches="tight")
    if show:
        plt.show()
    return bool(show)
