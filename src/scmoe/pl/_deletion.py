"""Curves of a target while features are taken away."""

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from mudata import MuData

from scmoe._keys import DEFAULT_KEY, DELETION, DELETION_SUMMARY
from scmoe.arguments._checked import checks_arguments
from scmoe.datasets._anndata import reads_anndata
from scmoe.pl._axes import axes_or_new
from scmoe.pl._save import finish
from scmoe.pl._style import COLORS, COLUMN, for_print
from scmoe.pl._tables import check_in_table, stored_table

FUNCTION = "scmoe.tl.deletion"
STYLES = {"attribution": (COLORS[1], "o"), "correlation": (COLORS[0], "s"), "random": ("0.5", "^")}


@checks_arguments
@reads_anndata
@for_print
def deletion(
    mdata: MuData,
    target: str | None = None,
    *,
    key: str = DEFAULT_KEY,
    ax: Axes | None = None,
    show: bool | None = None,
    save: str | Path | None = None,
    return_fig: bool = False,
) -> Axes | Figure | None:
    """Draw how far a target falls while the features that speak for it most are set to their means.

    The curve of the attributions should lie above that of the correlations, which need no model, and that of a random
    order.

    Parameters
    ----------
    mdata
        Data with results of `scmoe.tl.deletion`.
    target
        Which, with a band of two standard errors over its cells; None: the mean of all, each target a thin line.
    key
        The ``key_added`` of the results.
    ax
        Axes to draw into; a new figure if None.
    show
        Show the figure and return nothing.
    save
        File to write the figure to; its ending says the format.
    return_fig
        Return the figure.

    Returns
    -------
    The axes; with `return_fig` their figure; nothing with `show`.

    Raises
    ------
    KeyError
        There is no table, or no such target in it.

    Examples
    --------
    >>> scmoe.tl.deletion(mdata, model, "B", n_cells=50)
    >>> ax = scmoe.pl.deletion(mdata, "B")
    """
    curve = stored_table(mdata, key, DELETION, FUNCTION).astype({"target": str, "ranking": str})
    summary = stored_table(mdata, key, DELETION_SUMMARY, FUNCTION).astype({"target": str, "ranking": str})
    known = list(curve["target"].unique())
    names = known if target is None else [target]
    check_in_table("target", names, known)
    of_names = summary[summary["target"].isin(names)]
    units = set(of_names["unit"].astype(str)) if "unit" in of_names else set()  # files of earlier versions have none
    ax = axes_or_new(ax, COLUMN, 2.8)
    for ranking, of_ranking in curve[curve["target"].isin(names)].groupby("ranking", sort=False):
        color, marker = STYLES[str(ranking)]
        area = of_names[of_names["ranking"] == ranking]["area"].mean()
        share = of_ranking["share"].unique() * 100
        drops = of_ranking.pivot(index="share", columns="target", values="drop")
        ax.plot(share, drops.mean(axis=1), color=color, marker=marker, markersize=3.5, label=f"{ranking} ({area:.2f})")
        if target is None:
            ax.plot(share, drops, color=color, linewidth=0.5, alpha=0.4)
        else:
            spread = 2 * of_ranking["drop_se"].to_numpy()
            middle = of_ranking["drop"].to_numpy()
            ax.fill_between(share, middle - spread, middle + spread, color=color, alpha=0.2, linewidth=0)
    ax.axhline(0, color="black", linewidth=0.8)
    ax.set_xlabel("features set to their means, %")
    ax.set_ylabel(f"fall of {units.pop() if len(units) == 1 else 'the target'}")
    band = "" if target is None else "\n(band: two standard errors)"
    ax.set_title(names[0] + band if len(names) == 1 else f"Mean of {len(names)} targets (thin: each)", loc="left")
    ax.margins(y=0.05)
    ax.legend(title="ranked by (mean fall)", loc="upper left", edgecolor="none", framealpha=0.9)
    ax.spines[["top", "right"]].set_visible(False)
    return finish(ax, show=show, save=save, return_fig=return_fig)
