"""Sizes, fonts and colors of print: what all figures share, so that they stand side by side on a page."""

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import matplotlib.pyplot as plt

F = TypeVar("F", bound=Callable[..., Any])
COLUMN, PAGE = 3.4, 7.0
"""Widths in inches of one column, and of both, of a page with two."""
MAX_HEIGHT = 9.0
"""Inches that a page has for a figure and its caption."""
COLORS = ("#0072B2", "#D55E00", "#56B4E9", "#CC79A7", "#E69F00", "#009E73")
"""Told apart by all forms of color vision (Okabe and Ito 2008), the easiest first."""
MARKERS = "osD^vP"
"""One for each color, so that series can be told without any."""
UNCLEAR = "0.75"
"""Gray of what may be chance."""
DIVERGING = "RdBu_r"
SMALL = 7
"""Points of ticks, legends and notes: the least that journals print."""
PRINT: dict[Any, Any] = {
    "font.size": 8,
    "figure.dpi": 150,
    "figure.titlesize": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "axes.linewidth": 0.6,
    "hatch.linewidth": 0.5,
    "legend.fontsize": SMALL,
    "legend.title_fontsize": SMALL,
    "lines.linewidth": 1.2,
    **{f"{axis}tick.{name}": value for axis in "xy" for name, value in {"labelsize": SMALL, "major.size": 2.5}.items()},
    **{f"{axis}tick.major.width": 0.6 for axis in "xy"},
}


def for_print(plot: F) -> F:
    """Let a plot draw in the sizes of print, whatever the settings of the session."""

    @functools.wraps(plot)
    def drawn(*args: Any, **kwargs: Any) -> Any:
        with plt.rc_context(PRINT):
            return plot(*args, **kwargs)

    return drawn  # type: ignore[return-value]
