"""One picture of a result: the map, predicted proteins, and which experts serve which cells."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from mudata import MuData
from numpy.typing import NDArray

from scmoe._keys import DEFAULT_KEY, Keys
from scmoe.pl._expert_usage import expert_usage
from scmoe.pl._imputed import draw_panels, matched_values
from scmoe.pl._save import show_or_save
from scmoe.tl._umap import UMAP

MIN_CELLS = 15
"""Cell types with fewer cells are left out of the heat map."""


def save_overview(
    mdata: MuData,
    path: Path,
    *,
    labels: str,
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
        Data with clusters, a UMAP, `target` predicted from `source`, and the expert usage of the groups `labels`.
    path
        The file.
    labels
        Column of ``mdata.obs`` with names of cell types.
    source, target
        Modalities of the prediction.
    features
        Four features of the target.
    cells
        Which cells to show predictions of, ``(n_cells,)``.
    key
        The ``key_added`` of the results.
    """
    figure = plt.figure(figsize=(14, 4.4), layout="constrained")
    left, middle, right = figure.subfigures(1, 3, squeeze=False, width_ratios=[4.7, 3.8, 5.5])[0]
    left.suptitle("Joint embedding: clusters and their most common cell type", weight="bold", fontsize="medium")
    middle.suptitle(f"{target} predicted from {source} alone, held-out cells", weight="bold", fontsize="medium")
    right.suptitle("Experts that cell types use", weight="bold", fontsize="medium")
    _map(mdata, Keys(name=key).cluster, labels, left.subplots())
    draw_panels(middle.subplots(2, 2).flat, matched_values(mdata, [source], target, features, None, cells, key))
    middle.supxlabel("observed", fontsize="medium")
    middle.supylabel("predicted", fontsize="medium")
    ax = right.subplots()
    expert_usage(mdata, by="group", min_cells=MIN_CELLS, key=key, ax=ax)
    ax.set_title("", loc="left")
    ax.set_ylabel("")
    show_or_save(figure, show=False, save=path)
    plt.close(figure)


def _map(mdata: MuData, cluster: str, labels: str, ax: Axes) -> None:
    """UMAP of the clusters."""
    frame = pd.DataFrame(mdata.obsm[UMAP], index=mdata.obs_names, columns=["x", "y"])
    colors = plt.get_cmap("tab20")(range(20))  # strong and pale in turn: first all strong ones
    for number, (name, members) in enumerate(frame.groupby(mdata.obs[cluster], observed=True)):
        color = colors[(2 * number + number // 10) % 20]
        most_common = mdata.obs.loc[members.index, labels].mode()[0]
        ax.scatter(members.x, members.y, s=12, linewidths=0, color=color, label=f"{name}  {most_common}")
        ax.annotate(str(name), members.median(), ha="center", va="center", weight="bold")
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, fontsize="small", markerscale=1.5)
    ax.set_axis_off()
