"""Draw the figures of gallery.md with the code of gallery.md; `nox -s gallery` runs it."""

import re
import sys
from collections.abc import Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from PIL import Image

PAGE = Path(__file__).parent / "gallery.md"
FOLDER = PAGE.parent / "_static" / "gallery"
SECTION = re.compile(r"^## (\S+)$|^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
GROUPS = {"lineage": 4, "cell_type": 41}
"""Columns of labels, and how many labels they hold: the end of the names of files."""
DPI = 110


def figures(groups: str, changes: Mapping[str, str] | None = None) -> Iterator[tuple[str, Figure]]:
    """Run the page's code section by section: names of its figures, and the figures.

    Parameters
    ----------
    groups
        Column of labels in place of the page's.
    changes
        Text of the code, and what takes its place.
    """
    namespace: dict[str, Any] = {}
    name = ""
    text = PAGE.read_text(encoding="utf-8")
    for heading, code in SECTION.findall(text):
        name = heading or name
        code = code.replace('groups = "lineage"', f"groups = {groups!r}")
        for old, new in (changes or {}).items():
            code = code.replace(old, new)
        exec(compile(code, f"{PAGE.name}, {name}", "exec"), namespace)
        for number in plt.get_fignums():
            yield name, plt.figure(number)
        plt.close("all")


def main() -> None:
    """Write the PNG files that the page shows, and no others."""
    shown = set(re.findall(r"_static/gallery/(\w+)\.png", PAGE.read_text(encoding="utf-8")))
    FOLDER.mkdir(exist_ok=True)
    for groups, n in GROUPS.items():
        for name, figure in figures(groups):
            if (file := f"{name}_{n}") in shown:
                figure.savefig(memory := BytesIO(), dpi=DPI)
                # 256 colors are enough for a figure, and half of the size.
                Image.open(memory).convert("RGB").quantize(256).save(FOLDER / f"{file}.png", optimize=True)
                print(file, *figure.get_size_inches().round(1), "inches", file=sys.stderr)


if __name__ == "__main__":
    main()
