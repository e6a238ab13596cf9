"""Curves of a target while features are taken away."""

from pathlib import Path

from matplotlib.axes import Axes
from mudata import MuData

from scmoe._keys import DEFAULT_KEY, DELETION, DELETION_SUMMARY
from scmoe.arguments._checked import checks_arguments
from scmoe.datasets._anndata import reads_anndata
from scmoe.pl._axes import axes_or_new, legend_beside
from scmoe.pl._save import finish
from scmoe.pl._tables import check_in_table, stored_table

FUNCTION = "scmoe.tl.deletion"
COLORS = {"attribution": "C3", "correlation": "C0", "random": "0.5"}


@checks_arguments
@reads_anndata
def deletion(
    mdata: MuData,
    target: str | None = None,
    *,
    key: str = DEFAULT_KEY,
    ax: Axes | None = None,
    show: bool | None = None,
    save: str | Path | None = None,
) -> Axes | None:
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
        File to write the figure to.

    Returns
    -------
    The axes, unless `show` is True.

    Raises
    ------
    KeyError
        There is no table, or no such target in it.
    """
    curve = stored_table(mdata, key, DELETION, FUNCTION).astype({"target": str, "ranking": str})
    summary = stored_table(mdata, key, DELETION_SUMMARY, FUNCTION).astype({"target": str, "ranking": str})
    known = list(curve["target"].unique())
    names = known if target is None else [target]
    check_in_table("target", names, known)
    ax = axes_or_new(ax, 6.2, 3.6)
    for ranking, of_ranking in curve[curve["target"].isin(names)].groupby("ranking", sort=False):
        color = COLORS[str(ranking)]
        area = summary[summary["target"].isin(names) & (summary["ranking"] == ranking)]["area"].mean()
        share = of_ranking["share"].unique() * 100
        drops = of_ranking.pivot(index="share", columns="target", values="drop")
        ax.plot(share, drops.mean(axis=1), color=color, marker="o", markersize=4, label=f"{ranking} (area {area:.2f})")
        if target is None:
            ax.plot(share, drops, color=color, linewidth=0.5, alpha=0.4)
        else:
            spread = 2 * of_ranking["drop_se"].to_numpy()
            middle = of_ranking["drop"].to_numpy()
            ax.fill_between(share, middle - spread, middle + spread, color=color, alpha=0.2, linewidth=0)
    ax.axhline(0, color="black", linewidth=0.8)
    ax.set_xlabel("features set to their means, %")
    ax.set_ylabel("fall of the target")
    n_targets = len(names)
    ax.set_title(
        target or (f"Mean of {n_targets} targets" if n_targets > 1 else names[0]), loc="left", fontsize="medium"
    )
    legend_beside(ax, title="features ranked by", title_fontsize="small")
    ax.spines[["top", "right"]].set_visible(False)
    return finish(ax, show=show, save=save)
