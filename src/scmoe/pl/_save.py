"""What every plot does at its end."""

from pathlib import Path
from typing import Any, TypeVar

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from scmoe.io._files import atomic_path

Drawing = TypeVar("Drawing", Axes, Figure | SubFigure)
DPI = 300
"""Of files of pixels, as journals ask for."""
EDITABLE: dict[Any, Any] = {"pdf.fonttype": 42, "ps.fonttype": 42, "svg.fonttype": "none"}
"""Text stays text in vector files, so that it can be edited."""


def finish(
    drawing: Drawing, *, show: bool | None, save: str | Path | None, return_fig: bool
) -> Drawing | Figure | None:
    """Save and show a plot as its arguments say; what to return: nothing if it was shown, or the drawing or figure."""
    root = root_figure(drawing if isinstance(drawing, Figure | SubFigure) else drawing.figure)
    if show_or_save(root, show=show, save=save, dpi=DPI):
        return None
    return root if return_fig else drawing


def root_figure(figure: Figure | SubFigure | None) -> Figure:
    """The figure that holds everything."""
    while isinstance(figure, SubFigure):
        figure = figure.figure
    if figure is None:
        raise ValueError("ax is of no figure any more. Pass axes of a figure, or leave ax out.")
    return figure


def show_or_save(
    figure: Figure | SubFigure | None, *, show: bool | None, save: str | Path | None, dpi: int = 150
) -> bool:
    """Write the figure to `save` (if given) and show it (if asked); tells whether it was shown."""
    if save is not None:
        root = root_figure(figure)
        path = _figure_file(root, save)
        with atomic_path(path) as temporary, plt.rc_context(EDITABLE):
            root.savefig(temporary, dpi=dpi, bbox_inches="tight")
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
