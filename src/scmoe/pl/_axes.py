"""Parts that plots share: axes or places for several panels, rows that several series share, a legend beside."""

from typing import Any, Literal

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

MAX_NAME = 26
"""Characters of a name that fit beside a bar."""
ROW_SHARE = 0.6
"""Part of a row that its series share; the rest separates rows."""


def axes_or_new(ax: Axes | None, width: float, height: float) -> Axes:
    """The axes to draw into: those given, or those of a new figure of this size in inches."""
    if ax is None:
        _, ax = plt.subplots(figsize=(width, height), layout="constrained")
    return ax


def figure_or_place(ax: Axes | None, width: float, height: float) -> Figure | SubFigure:
    """Where to draw several panels: a new figure of this size in inches, or the place of axes, which are removed."""
    if ax is None:
        return plt.figure(figsize=(width, height), layout="constrained")
    place, figure = ax.get_subplotspec(), ax.figure
    if place is None or figure is None:
        raise ValueError("ax must be one of a grid, such as plt.subplots makes, to give its place to several panels.")
    ax.remove()
    return figure.add_subfigure(place)


def grid_shape(n_panels: int, max_columns: int) -> tuple[int, int]:
    """Numbers of rows and columns of a grid that holds all panels."""
    n_columns = min(max_columns, n_panels)
    return -(-n_panels // n_columns), n_columns


def row_offset(series: int, n_series: int) -> float:
    """Distance of a series from the middle of a row that it shares with others."""
    return ROW_SHARE * ((series + 0.5) / n_series - 0.5)


def short_name(name: str) -> str:
    """A name that fits beside a bar: a long one without its middle."""
    half = MAX_NAME // 2
    return name if len(name) <= MAX_NAME else f"{name[: half - 1]}…{name[-half:]}"


def legend_beside(ax: Axes, *, x: float = 1.0, centered: bool = False, **kwargs: Any) -> None:
    """A legend without a frame to the right of the axes, at the top or in the middle."""
    loc: Literal["center left", "upper left"] = "center left" if centered else "upper left"
    ax.legend(frameon=False, loc=loc, bbox_to_anchor=(x, 0.5 if centered else 1), **kwargs)


def legend_below(figure: Figure | SubFigure, **kwargs: Any) -> None:
    """A legend without a frame below all panels."""
    figure.legend(loc="outside lower center", frameon=False, **kwargs)
