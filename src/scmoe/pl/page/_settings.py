"""Section: settings and versions, to repeat and to cite."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from mudata import MuData

from scmoe._keys import PARAMS
from scmoe.pl.page._section import Section, Table

CITATION = (
    "scmoe builds on S. Yun et al., Enhancing single-cell multi-modal multi-task learning via sparse "
    "mixture-of-experts, bioRxiv (2024), doi:10.1101/2024.11.12.623336."
)
LONG = 20
"""Items beyond which a list is not shown."""
WHERE = {
    "network": "the network",
    "train": "the training",
    "setup": "the data",
    "versions": "versions",
}


def settings_section(mdata: MuData, key: str) -> Section | None:
    """What the model was made with; None where it is not stored, as in a query."""
    params: Mapping[str, Any] | None = mdata.uns[key].get(PARAMS)
    if params is None:
        return None
    rest = {name: value for name, value in params.items() if name not in WHERE}
    groups = {"seed and labels": rest, **{title: params.get(name, {}) for name, title in WHERE.items()}}
    tables = [
        Table(caption=f"Settings: {title}.", columns=("setting", "value"), rows=rows)
        for title, entries in groups.items()
        if (rows := list(_rows(entries)))
    ]
    return Section(name="settings", title="Settings and versions", sentences=[CITATION], tables=tables)


def _rows(entries: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in entries.items():
        if isinstance(value, Mapping):
            yield from _rows(value, f"{prefix}{name}.")
        elif np.size(value) <= LONG:
            items = [str(item) for item in np.atleast_1d(value)]
            yield f"{prefix}{name}", ", ".join(items)
