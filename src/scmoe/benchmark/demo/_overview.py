"""One picture of a result: the map, predicted proteins, and which experts serve which cells."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from mudata import MuData
from numpy.typing import NDArray

from scmoe._keys import DEFAULT_KEY
from scmoe.pl._expert_usage import expert_usage
from scmoe.pl._imputed import draw_panels, matched_values
from scmoe.pl._map import draw_map
from scmoe.pl._save import show_or_save
from scmoe.pl._style import for_print
from scmoe.tl._umap import UMAP

MIN_CELLS = 15
"""Cell types with fewer cells are left out of the heat map."""


@for_print
def save_overview(
    mdata: MuData,
    path: Path,
    *,
    labels: str,
    lineages: str,
    source: str,
    target: str,
    features: Sequence[str],
    cells: NDArray[np.bool_],
    key: str = DEFAULT_KEY,
) -> None:
    """Write the picture.

    Parameters
    ----------
    mdata
        Data with a UMAP, `target` predicted from `source`, and the expert usage of the groups `labels`.
    path
        The file.
    labels
        Column of ``mdata.obs`` with names of cell types.
    lineages
        Column of ``mdata.obs`` with up to six groups of them, for colors.
    source, target
        Modalities of the prediction.
    features
        Four features of the target.
    cells
        Which cells to show predictions of, ``(n_cells,)``.
    key
        The ``key_added`` of the results.
    """
    figure = plt.figure(figsize=(10, 3.6), layout="constrained")
    left, middle, right = figure.subfigures(1, 3, squeeze=False, width_ratios=[3, 3, 4])[0]
    left.suptitle("Joint embedding, lineages and types", weight="bold")
    middle.suptitle(f"{target} predicted from {source}, held-out cells", weight="bold")
    right.suptitle("Experts that cell types use", weight="bold")
    _map(mdata, labels, lineages, left.subplots())
    draw_panels(middle.subplots(2, 2).flat, matched_values(mdata, [source], target, features, None, cells, key))
    middle.supxlabel("observed", fontsize="medium")
    middle.supylabel("predicted", fontsize="medium")
    ax = right.subplots()
    expert_usage(mdata, by="group", min_cells=MIN_CELLS, key=key, ax=ax)
    ax.set_title("", loc="left")
    ax.set_ylabel("")
    show_or_save(figure, show=False, save=path, dpi=200)
    plt.close(figure)


def _map(mdata: MuData, labels: str, lineages: str, ax: Axes) -> None:
    """UMAP of the lineages, with the names of the large types."""
    draw_map(ax, np.asarray(mdata.obsm[UMAP]), mdata.obs[labels], mdata.obs[lineages])
