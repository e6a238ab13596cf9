"""A map of cells whose categories can be told apart, however many there are."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke
from matplotlib.transforms import Bbox
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage

from scmoe.pl._axes import short_name
from scmoe.pl._save import root_figure
from scmoe.pl._style import COLORS, SMALL

MIN_SHARE = 0.02
"""Of all cells, for the name of a category to stand on the map."""
SIZES = (1.5, 14.0)
"""Least and largest area of a dot, points²; small where there are many cells."""
HALO = [withStroke(linewidth=1.5, foreground="white")]


def draw_map(
    ax: Axes, coordinates: NDArray[np.floating], categories: pd.Series, lineages: pd.Series | None = None
) -> None:
    """Draw cells in a color for each lineage, with the names of the large categories.

    Nobody tells 41 colors apart. Up to six categories have a color each. More are gathered into lineages: those given,
    or categories that lie next to each other (average linkage of their medians).

    Parameters
    ----------
    ax
        Axes to draw into.
    coordinates
        (n_cells, 2).
    categories
        Of each cell; text is used as it is.
    lineages
        Of each cell, up to six; None: found.
    """
    names = categories.astype(str).to_numpy()
    known = list(dict.fromkeys(names[np.argsort(names, kind="stable")]))
    frame = pd.DataFrame({"x": coordinates[:, 0], "y": coordinates[:, 1], "name": names})
    if lineages is not None:
        frame["lineage"] = lineages.astype(str).to_numpy()
    elif len(known) > len(COLORS):
        frame["lineage"] = frame["name"].map(_lineages(frame))
    else:
        frame["lineage"] = frame["name"]
    size = float(np.clip(6000 / len(frame), *SIZES))
    order = frame["lineage"].value_counts(sort=True).index
    for number, (lineage, color) in enumerate(zip(order, COLORS, strict=False)):
        cells = frame[frame["lineage"] == lineage]
        ax.scatter(cells["x"], cells["y"], s=size, linewidths=0, color=color, label=lineage, zorder=1 + number / 10)
    if (frame["lineage"] != frame["name"]).any():
        _name_categories(ax, frame)
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, 0), ncols=2, frameon=False, markerscale=1.5, handletextpad=0.1)
    ax.set_axis_off()


def _lineages(frame: pd.DataFrame) -> dict[str, str]:
    """Lineage of each category, called after its largest one."""
    middles = frame.groupby("name")[["x", "y"]].median()
    group = fcluster(linkage(middles.to_numpy(), "average"), len(COLORS), "maxclust")
    sizes = frame["name"].value_counts()
    names: dict[str, str] = {}
    for number in np.unique(group):
        members: Sequence[str] = sorted(middles.index[group == number], key=lambda name: -sizes[name])
        more = f" and {len(members) - 1} more" if len(members) > 1 else ""
        names |= dict.fromkeys(members, f"{short_name(members[0])}{more}")
    return names


def _name_categories(ax: Axes, frame: pd.DataFrame) -> None:
    """Names of the large categories in the middle of their cells, the largest first, where none is in the way."""
    taken: list[Bbox] = []
    ax.autoscale_view()
    root_figure(ax.figure).draw_without_rendering()  # the layout decides what overlaps
    sizes = frame["name"].value_counts()
    for name in sizes.index[sizes >= MIN_SHARE * len(frame)]:
        x, y = frame.loc[frame["name"] == name, ["x", "y"]].median()
        text = ax.text(x, y, short_name(str(name)), ha="center", va="center", fontsize=SMALL - 1, path_effects=HALO)
        box = text.get_window_extent()
        if any(box.overlaps(other) for other in taken):
            text.remove()
        else:
            taken.append(box)
