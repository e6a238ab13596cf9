"""What a report is made of: sections with sentences, tables and figures, as plain text that the template escapes."""

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from io import BytesIO

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

DPI = 150


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table of texts.

    Parameters
    ----------
    caption
        What it shows, with units.
    columns
        Names; the first column names the rows.
    rows
        As many texts each.
    """

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A figure, in the page itself.

    Parameters
    ----------
    uri
        The image as a ``data:`` address.
    text
        What it shows, for those who do not see it.
    """

    uri: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of the page.

    Parameters
    ----------
    name
        Anchor.
    title
        Heading.
    sentences
        What is to be said.
    warnings
        What is wrong and what to do; the page shows them first.
    tables, pictures
        Below the sentences.
    """

    name: str
    title: str
    sentences: Sequence[str] = ()
    warnings: Sequence[str] = ()
    tables: Sequence[Table] = field(default_factory=list)
    pictures: Sequence[Picture] = field(default_factory=list)


def picture(ax: Axes, text: str) -> Picture:
    """The figure of these axes, which is closed."""
    figure, buffer = ax.get_figure(root=True), BytesIO()
    assert figure is not None
    figure.savefig(buffer, format="png", dpi=DPI, bbox_inches="tight", facecolor="white")
    plt.close(figure)
    return Picture(uri=f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}", text=text)


def number(value: float, digits: int = 2) -> str:
    """A number as text; a dash where there is none."""
    return f"{value:.{digits}f}" if np.isfinite(value) else "–"


def count(value: int) -> str:
    """A whole number, its thousands set apart by a narrow space."""
    return f"{int(value):,}".replace(",", "\u202f")


def percent(value: float) -> str:
    """A share in percent."""
    return f"{100 * value:.1f} %" if np.isfinite(value) else "–"


def listed(names: Iterable[object], most: int = 8) -> str:
    """The first names, and how many more there are."""
    texts = [str(name) for name in names]
    return ", ".join(texts[:most]) + (f" and {len(texts) - most} more" if len(texts) > most else "")
