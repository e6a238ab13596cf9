"""Predicted against observed values, feature by feature."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import pandas as pd
from anndata import AnnData
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from mudata import MuData
from numpy.typing import NDArray
from scipy.sparse import issparse

from scmoe._align import mask_of
from scmoe._check import layer_names
from scmoe._keys import DEFAULT_KEY, PREPARE, UNS_ROOT, Keys
from scmoe.arguments._checked import checks_arguments
from scmoe.datasets._anndata import reads_anndata
from scmoe.metrics._features import feature_scores
from scmoe.pl._axes import figure_or_place, grid_shape
from scmoe.pl._save import finish
from scmoe.pl._style import COLORS, PAGE, for_print

N_SPREAD, CHUNK = 8, 200
"""Features without `features`, and how many are scored at a time to choose them."""
MANY = 2000
"""Cells from which on dots are fainter."""


@checks_arguments
@reads_anndata
@for_print
def imputed(
    mdata: MuData,
    *,
    source: str | Sequence[str],
    target: str,
    features: str | Sequence[str] | None = None,
    layer: str | None = None,
    cells: str | NDArray[np.bool_] | pd.Series | None = None,
    key: str = DEFAULT_KEY,
    ncols: int = 4,
    ax: Axes | None = None,
    show: bool | None = None,
    save: str | Path | None = None,
    return_fig: bool = False,
) -> Figure | SubFigure | None:
    """Draw predicted against observed values of some features, one panel each, in the units of the observed values.

    Only cells that have the target modality and a prediction are drawn; the title gives their Pearson correlation.
    Lines are plus and minus one standard deviation, where `scmoe.tl.impute` has stored it (``sd=True``).

    Parameters
    ----------
    mdata
        Data with results of `scmoe.tl.impute`.
    source
        Modality or modalities predicted from.
    target
        Modality that was predicted.
    features
        Features of the target to draw; None: eight, from the best predicted to the worst by correlation, in even
        steps, so that the figure flatters nobody.
    layer
        Layer of the target with the observed values; default ``X``. It must be in the units of the prediction.
    cells
        Cells to draw: a boolean mask over all cells (a Series that names its cells is matched by name) or the name of a
        boolean column of ``mdata.obs``, for example the cells held out of training.
    key
        The ``key_added`` of the results.
    ncols
        Panels in a row.
    ax
        Axes of a grid, in whose place the panels are drawn; a new figure if None.
    show
        Show the figure and return nothing.
    save
        File to write the figure to; its ending says the format.
    return_fig
        Return the figure.

    Returns
    -------
    The figure, or the part of one that took the place of `ax`; with `return_fig` all of it; nothing with `show`.

    Raises
    ------
    KeyError
        If the prediction, a feature (close matches are listed), the layer or the column of cells is not there.
    ValueError
        If no feature is given, or no cell can be drawn.

    Examples
    --------
    >>> scmoe.tl.impute(mdata, model, source="rna", target="adt", sd=True)
    >>> figure = scmoe.pl.imputed(mdata, source="rna", target="adt", features=["CD3", "CD19"])
    """
    sources = [source] if isinstance(source, str) else list(source)
    if features is None:
        names = _spread(mdata, sources, target, layer, cells, key)
    else:
        names = [features] if isinstance(features, str) else list(dict.fromkeys(features))
    match = matched_values(mdata, sources, target, names, layer, cells, key)
    n_rows, n_columns = grid_shape(len(names), ncols)
    width = min(PAGE, 1.65 * n_columns + 0.4)
    figure = figure_or_place(ax, max(width, 2.2), (width - 0.4) / n_columns * n_rows + 0.25 * n_rows + 0.4)
    grid = figure.subplots(n_rows, n_columns, squeeze=False)
    draw_panels(grid.flat[: len(names)], match)
    for panel in grid.flat[len(names) :]:
        panel.set_visible(False)
    bars = "" if match.sd is None else "; lines: ± 1 sd"
    figure.supxlabel(f"observed {target}: {_unit(mdata, target, layer)}", fontsize="medium")
    figure.supylabel(f"predicted from {' and '.join(sources)}{bars}", fontsize="medium")
    return finish(figure, show=show, save=save, return_fig=return_fig)


class Match(NamedTuple):
    """Values of the same features and cells, cells x features."""

    observed: pd.DataFrame
    predicted: pd.DataFrame
    sd: pd.DataFrame | None
    """Standard deviations of the predicted values; None where they are not stored."""


def matched_values(
    mdata: MuData,
    sources: Sequence[str],
    target: str,
    names: Sequence[str],
    layer: str | None,
    cells: str | NDArray[np.bool_] | pd.Series | None,
    key: str,
) -> Match:
    """Observed and predicted values of the features `names`; see `imputed` for the arguments."""
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
    sd_key = Keys(name=key).imputed_sd(target, sources)
    sd = _values(adata, names, sd_key)[mask] if sd_key in adata.layers else None
    return Match(observed[mask], predicted[mask], sd)


def _spread(
    mdata: MuData,
    sources: Sequence[str],
    target: str,
    layer: str | None,
    cells: str | NDArray[np.bool_] | pd.Series | None,
    key: str,
) -> list[str]:
    """Features at even steps of their correlation, from the best predicted to the worst."""
    adata = _predicted_modality(mdata, sources, target, key)
    stored = adata.layers[Keys(name=key).imputed(target, sources)]
    known = np.asarray(adata.var_names)[np.isfinite(stored).any(axis=0)]
    # A part at a time: dense copies of all features may be larger than memory.
    parts = [known[i : i + CHUNK].tolist() for i in range(0, len(known), CHUNK)]
    matches = (matched_values(mdata, sources, target, part, layer, cells, key) for part in parts)
    scores = pd.concat([feature_scores(match.observed, match.predicted) for match in matches])
    ranked = scores["pearson"].dropna().sort_values(ascending=False, kind="stable").index
    if not len(ranked):
        raise ValueError(f"No feature of {target!r} varies in the chosen cells. Name features=, or choose other cells.")
    places = np.linspace(0, len(ranked) - 1, min(N_SPREAD, len(ranked))).round().astype(int)
    return [str(name) for name in ranked[places]]


def _unit(mdata: MuData, target: str, layer: str | None) -> str:
    """What was done to the observed values, as far as it is recorded."""
    if layer is not None:
        return f"layer {layer}"
    record = mdata.uns.get(UNS_ROOT, {}).get(PREPARE, {}).get(target, {})
    return ", ".join(map(str, record.get("steps", ()))) or "units of X"


def draw_panels(axes: Iterable[Axes], match: Match) -> None:
    """One panel a feature, with its Pearson correlation as title."""
    pearson = feature_scores(match.observed, match.predicted)["pearson"]
    for ax, name in zip(axes, match.observed, strict=True):
        sd = None if match.sd is None else match.sd[name].to_numpy()
        _panel(ax, match.observed[name].to_numpy(), match.predicted[name].to_numpy(), sd)
        ax.set_title(f"{name}, r = {pearson[name]:.2f}")


def _panel(
    ax: Axes, observed: NDArray[np.floating], predicted: NDArray[np.floating], sd: NDArray[np.floating] | None
) -> None:
    both = np.concatenate([observed, predicted])
    low, high = float(np.nanmin(both)), float(np.nanmax(both))
    margin = 0.05 * (high - low) or 0.5
    limits = (low - margin, high + margin)
    ax.plot(limits, limits, color="0.6", linewidth=0.8, zorder=1)
    # Many cells need small, faint dots for density to show.
    alpha = 0.6 if len(observed) < MANY else 0.2
    style: dict[str, Any] = {"color": COLORS[0], "rasterized": True}
    if sd is not None:
        ax.vlines(observed, predicted - sd, predicted + sd, linewidth=0.4, alpha=alpha / 3, zorder=1, **style)
    size = float(np.clip(1000 / len(observed), 1.5, 7))
    ax.scatter(observed, predicted, s=size, alpha=alpha, linewidths=0, **style)
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
