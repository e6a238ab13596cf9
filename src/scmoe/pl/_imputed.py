"""Predicted against observed values, feature by feature."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import cast

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from anndata import AnnData
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from mudata import MuData
from numpy.typing import NDArray
from scipy.sparse import issparse

from scmoe._align import mask_of
from scmoe._check import layer_names
from scmoe._keys import DEFAULT_KEY, Keys
from scmoe.arguments._checked import checks_arguments
from scmoe.datasets._anndata import reads_anndata
from scmoe.metrics._features import feature_scores
from scmoe.pl._axes import grid_shape
from scmoe.pl._save import finish


@checks_arguments
@reads_anndata
def imputed(
    mdata: MuData,
    *,
    source: str | Sequence[str],
    target: str,
    features: str | Sequence[str],
    layer: str | None = None,
    cells: str | NDArray[np.bool_] | pd.Series | None = None,
    key: str = DEFAULT_KEY,
    ncols: int = 4,
    show: bool | None = None,
    save: str | Path | None = None,
) -> Figure | None:
    """Draw predicted against observed values of some features, one panel each.

    Only cells that have the target modality and a prediction are drawn; the title gives their Pearson correlation.

    Parameters
    ----------
    mdata
        Data with results of `scmoe.tl.impute`.
    source
        Modality or modalities predicted from.
    target
        Modality that was predicted.
    features
        Features of the target to draw.
    layer
        Layer of the target with the observed values; default ``X``. It must be in the units of the prediction.
    cells
        Cells to draw: a boolean mask over all cells (a Series that names its cells is matched by name) or the name of a
        boolean column of ``mdata.obs``, for example the cells held out of training.
    key
        The ``key_added`` of the results.
    ncols
        Panels in a row.
    show
        Show the figure and return nothing.
    save
        File to write the figure to.

    Returns
    -------
    The figure, unless `show` is True.

    Raises
    ------
    KeyError
        If the prediction, a feature (close matches are listed), the layer or the column of cells is not there.
    ValueError
        If no feature is given, or no cell can be drawn.
    """
    names = [features] if isinstance(features, str) else list(dict.fromkeys(features))
    sources = [source] if isinstance(source, str) else list(source)
    observed, predicted = matched_values(mdata, sources, target, names, layer, cells, key)
    n_rows, n_columns = grid_shape(len(names), ncols)
    figure, grid = plt.subplots(
        n_rows, n_columns, figsize=(2.5 * n_columns, 2.6 * n_rows + 0.4), squeeze=False, layout="constrained"
    )
    draw_panels(grid.flat[: len(names)], observed, predicted)
    for ax in grid.flat[len(names) :]:
        ax.set_visible(False)
    figure.supxlabel(f"observed ({target})", fontsize="medium")
    figure.supylabel(f"predicted from {' and '.join(sources)}", fontsize="medium")
    return finish(figure, show=show, save=save)


def matched_values(
    mdata: MuData,
    sources: Sequence[str],
    target: str,
    names: Sequence[str],
    layer: str | None,
    cells: str | NDArray[np.bool_] | pd.Series | None,
    key: str,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Observed and predicted values of the features `names` for the same cells; see `imputed` for the arguments."""
    adata = _predicted_modality(mdata, sources, target, key)
    _check_features(adata, target, names)
    if layer is not None and layer not in adata.layers:
        raise KeyError(f"mdata[{target!r}] has no layer {layer!r}; it has {', '.join(layer_names(adata)) or 'none'}.")
    observed = _values(adata, names, layer)
    # Of the layer, not of the frame in obsm: its features are those of the modality, whatever characters they have.
    predicted = _values(adata, names, Keys(name=key).imputed(target, sources))
    if (unknown := predicted.columns[predicted.isna().all()]).size and predicted.notna().any(axis=None):
        raise KeyError(f"There is no prediction of {unknown[0]!r}: the model does not know it. Leave it out.")
    chosen = pd.Series(_mask(mdata, cells), mdata.obs_names)[adata.obs_names].to_numpy()
    mask = chosen & predicted.notna().all(axis=1).to_numpy()
    if not mask.any():
        raise ValueError(
            f"None of the chosen cells has modality {target!r} and a prediction from {' and '.join(sources)}."
        )
    return observed[mask], predicted[mask]


def draw_panels(axes: Iterable[Axes], observed: pd.DataFrame, predicted: pd.DataFrame) -> None:
    """One panel a feature, with its Pearson correlation as title."""
    pearson = feature_scores(observed, predicted)["pearson"]
    for ax, name in zip(axes, observed, strict=True):
        _panel(ax, observed[name].to_numpy(), predicted[name].to_numpy())
        ax.set_title(f"{name}   r = {pearson[name]:.2f}", fontsize="medium")


def _panel(ax: Axes, observed: NDArray[np.floating], predicted: NDArray[np.floating]) -> None:
    both = np.concatenate([observed, predicted])
    low, high = float(np.nanmin(both)), float(np.nanmax(both))
    margin = 0.05 * (high - low) or 0.5
    limits = (low - margin, high + margin)
    ax.plot(limits, limits, color="0.6", linewidth=1, zorder=1)
    # Many cells need small, faint dots for density to show.
    size = float(np.clip(2000 / len(observed), 3, 14))
    ax.scatter(observed, predicted, s=size, alpha=0.6 if len(observed) < 2000 else 0.2, linewidths=0, rasterized=True)
    ax.set(xlim=limits, ylim=limits, aspect="equal")
    ax.locator_params(nbins=4)
    ax.spines[["top", "right"]].set_visible(False)


def _predicted_modality(mdata: MuData, sources: Sequence[str], target: str, key: str) -> AnnData:
    """The target modality, in which predictions from these sources are stored."""
    keys = Keys(name=key)
    keys.check_imputed(target, sources, mdata.mod)
    if target not in mdata.mod:
        raise KeyError(f"mdata has no modality {target!r} to compare with; it has {', '.join(mdata.mod)}.")
    stored = keys.imputed(target, sources)
    if stored not in mdata.mod[target].layers:
        source = sources[0] if len(sources) == 1 else list(sources)
        raise KeyError(
            f"mdata[{target!r}].layers[{stored!r}] does not exist; run "
            f"scmoe.tl.impute(..., source={source!r}, target={target!r}, key_added={key!r}) first, without features=."
        )
    return mdata.mod[target]


def _check_features(adata: AnnData, target: str, names: Sequence[str]) -> None:
    if not names:
        raise ValueError("features must name at least one feature of the target.")
    folded = {str(feature).lower(): str(feature) for feature in adata.var_names}
    for name in names:
        if name not in adata.var_names:
            close = [folded[match] for match in get_close_matches(name.lower(), folded, n=5)]
            hint = f"did you mean {', '.join(map(repr, close))}?" if close else f"see mdata[{target!r}].var_names."
            raise KeyError(f"Modality {target!r} has no feature {name!r}; {hint}")


def _values(adata: AnnData, names: Sequence[str], layer: str | None) -> pd.DataFrame:
    """Values of some features, of all cells of the modality."""
    matrix = (adata.X if layer is None else adata.layers[layer])[:, adata.var_names.get_indexer(names)]
    values = matrix.toarray() if issparse(matrix) else np.asarray(matrix)
    return pd.DataFrame(values.astype(float), index=adata.obs_names, columns=list(names))


def _mask(mdata: MuData, cells: str | NDArray[np.bool_] | pd.Series | None) -> NDArray[np.bool_]:
    if cells is None:
        return np.ones(mdata.n_obs, dtype=bool)
    if isinstance(cells, str):
        if cells not in mdata.obs:
            raise KeyError(f"mdata.obs has no column {cells!r}; it has {', '.join(mdata.obs.columns)}.")
        cells = cast(pd.Series, mdata.obs[cells])
    return mask_of(cells, mdata.obs_names, "cells")
