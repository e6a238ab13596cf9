"""What every plot does at its end."""

from pathlib import Path
from typing import TypeVar

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from scmoe.io._files import atomic_path

Drawing = TypeVar("Drawing", Axes, Figure)


def finish(drawing: Drawing, *, show: bool | None, save: str | Path | None) -> Drawing | None:
    """Save and show a plot as its arguments say; the drawing to return, or None if it was shown."""
    figure = drawing if isinstance(drawing, Figure) else drawing.figure
    return None if show_or_save(figure, show=show, save=save) else drawing


def show_or_save(figure: Figure | SubFigure | None, *, show: bool | None, save: str | Path | None) -> bool:
    """Write the figure to `save` (if given) and show it (if asked); tells whether it was shown."""
    if save is not None and figure is not None:
        root = figure if isinstance(figure, Figure) else figure.figure
        path = _figure_file(root, save)
        with atomic_path(path) as temporary:
            root.savefig(temporary, dpi=150, bbox_inches="tight")
    if show:
        plt.show()
    return bool(show)


def _figure_file(figure: Figure, save: str | Path) -> Path:
    """The file of a figure, whose ending says the format."""
    path = Path(save)
    if not path.name:
        raise ValueError(f"save must name a file, such as 'figure.png'; found {str(save)!r}.")
    if not path.suffix:  # as matplotlib does
        path = path.with_suffix(f".{plt.rcParams['savefig.format']}")
    formats = figure.canvas.get_supported_filetypes()
    if path.suffix[1:].lower() not in formats:
        raise ValueError(f"save={str(save)!r} must end in a format of figures: {', '.join(sorted(formats))}.")
    return path
