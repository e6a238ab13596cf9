"""Rows A1 to A6: what a fault of the input costs, in the scores that a user would look at.

Each function yields the lines of one input. The fourth column holds the numbers of commit f6ec5a7,
measured by this table: ``PYTHONPATH=<its src> python tests/field/run.py``.
"""

from collections.abc import Iterator
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
from lines import (
    N_NEIGHBORS,
    Line,
    bmmc,
    dense,
    log_lines,
    made,
    matrix,
    mixing,
    nmi,
    number,
    own_share,
    prepared,
    train,
    words,
)
from mudata import MuData
from numpy.typing import NDArray
from sklearn.neighbors import KNeighborsClassifier

import scmoe

IMPUTED = "scmoe_adt_from_rna"
ABSENT = range(6, 12)
"""Proteins that batch b did not measure."""
N_SHARED = 46
"""Proteins that both panels have; each has half of the others besides: 90 of 134."""
N_TAGS = 4
TYPES = "cell_type"
SEEN_ZEROS, SEEN_NAN, SEEN_APART = (0.995, 0.720, 0.417), (0.792, 0.746, 0.513), (0.808, 0.773, 0.663)
"""Neighbors from the own batch, NMI and Pearson of the three ways to join two panels."""


def unmeasured_proteins() -> Iterator[Line]:
    """Half of the proteins zero in one batch"""
    clean = prepared(made())
    train(clean, batch_key="batch")
    mdata, in_b = made(), (clean.obs["batch"] == "b").to_numpy()
    values = dense(mdata, "adt")
    values[np.ix_(in_b, ABSENT)] = 0
    mdata.mod["adt"].X = values.astype(np.float32)
    with log_lines() as log:
        prepared(mdata)
        model = train(mdata, batch_key="batch")
    right = mixing(clean, in_b)
    yield number("mixing of the batches", 0.0, mixing(mdata, in_b), right, least=0.9)
    n_right = clean.obs["scmoe_cluster"].nunique()
    yield number("number of clusters", 8, mdata.obs["scmoe_cluster"].nunique(), n_right, least=n_right, most=n_right)
    scmoe.tl.impute(mdata, model, source="rna", target="adt")
    error = np.asarray(mdata.obsm[IMPUTED])[np.ix_(in_b, ABSENT)] - dense(clean, "adt")[np.ix_(in_b, ABSENT)]
    yield number("mean error of their prediction, log units", -1.48, error.mean(), 0.0, least=-0.3, most=0.3)
    names = [line for line in log if str(clean["adt"].var_names[ABSENT[0]]) in line]
    yield words("the log names them", "no", "yes" if names else "no", "yes", bool(names))


def cells_of_zeros() -> Iterator[Line]:
    """A fifth of the cells zero throughout a modality"""
    clean, mdata = prepared(made()), made()
    train(clean)
    absent = np.random.default_rng(0).random(mdata.n_obs) < 0.2
    values = dense(mdata, "adt")
    values[absent] = 0
    mdata.mod["adt"].X = values.astype(np.float32)
    train(prepared(mdata))
    yield number("mixing with the others", 0.0, mixing(mdata, absent), mixing(clean, absent), least=0.9)


class Panels:
    """The bundled data with two panels of proteins, and what the panels hide."""

    def __init__(self) -> None:
        self.mdata = scmoe.datasets.bmmc_cite()
        n_proteins = self.mdata["adt"].n_vars
        order = np.random.default_rng(0).permutation(n_proteins)[N_SHARED:]
        self.batches = [str(name) for name in self.mdata.obs["batch"].unique()]
        self.hidden = np.zeros((self.mdata.n_obs, n_proteins), dtype=bool)
        for batch, absent in zip(self.batches, np.array_split(order, 2), strict=True):
            self.hidden[np.ix_((self.mdata.obs["batch"] == batch).to_numpy(), absent)] = True

    def written_as(self, gap: float) -> MuData:
        """The data of an outer join that fills with `gap`."""
        values = dense(self.mdata, "adt")
        values[self.hidden] = gap
        self.mdata.mod["adt"].X = values.astype(np.float32)
        return prepared(self.mdata, **with_batches())

    def apart(self) -> MuData:
        """The batches prepared each by itself, then joined."""
        parts = []
        for batch in self.batches:
            rows = (self.mdata.obs["batch"] == batch).to_numpy()
            part = self.mdata[rows]
            adt = part["adt"][:, ~self.hidden[rows][0]].copy()
            parts.append(prepared(MuData({"rna": part["rna"].copy(), "adt": adt})))
        joined = MuData({name: ad.concat([part[name] for part in parts], join="outer") for name in ("rna", "adt")})
        joined.obs[["batch", TYPES]] = self.mdata.obs.loc[joined.obs_names, ["batch", TYPES]]
        return joined

    def scores(self, mdata: MuData, model: Any) -> dict[str, float]:
        """Own-batch neighbors, NMI, and Pearson of the hidden proteins with their CLR in the full panel."""
        scmoe.tl.impute(mdata, model, source="rna", target="adt")
        full = bmmc()[0]
        truth = pd.DataFrame(dense(full, "adt"), full.obs_names, full["adt"].var_names)
        hidden = pd.DataFrame(self.hidden, full.obs_names, full["adt"].var_names)
        predicted = mdata.obsm[IMPUTED].loc[truth.index, truth.columns]
        correlations = [
            np.corrcoef(truth.loc[cells, name], predicted.loc[cells, name])[0, 1]
            for name in truth.columns
            if (cells := hidden[name].to_numpy()).any()
        ]
        return {
            "neighbors": own_share(mdata, mdata.obs["batch"].astype(str)),
            "nmi": nmi(mdata, TYPES),
            "pearson": float(np.nanmean(correlations)),
        }


def with_batches() -> dict[str, str]:
    """The argument that names the batches, where `prepare` has it: it did not at f6ec5a7."""
    import inspect

    return {"batch_key": "batch"} if "batch_key" in inspect.signature(scmoe.pp.prepare).parameters else {}


def two_panels(panels: Panels, mdata: MuData, seen: tuple[float, float, float]) -> Iterator[Line]:
    """The three scores of one way to join."""
    today = panels.scores(mdata, train(mdata, batch_key="batch"))
    full = panels.scores(*bmmc())
    yield number("neighbors from the own batch", seen[0], today["neighbors"], full["neighbors"], most=0.65)
    yield number("NMI with the types", seen[1], today["nmi"], full["nmi"], least=0.78)
    yield number("Pearson of hidden proteins, from rna", seen[2], today["pearson"], full["pearson"], least=0.65)


def panels_as_zeros() -> Iterator[Line]:
    """Two panels, 46 of 134 proteins shared, joined with zeros"""
    panels = Panels()
    yield from two_panels(panels, panels.written_as(0), SEEN_ZEROS)


def panels_as_nan() -> Iterator[Line]:
    """Two panels, joined with NaN"""
    panels = Panels()
    mdata = panels.written_as(np.nan)
    kind = str(mdata.uns["scmoe"]["prepare"]["adt"]["kind"])
    yield words("proteins are taken for", "continuous", kind, "protein", kind == "protein")
    yield from two_panels(panels, mdata, SEEN_NAN)


def panels_with_counts() -> Iterator[Line]:
    """Two panels, NaN in layers["counts"]"""
    panels = Panels()
    values = np.where(panels.hidden, np.nan, dense(panels.mdata, "adt")).astype(np.float32)
    panels.mdata["adt"].layers["counts"] = values
    first = dense(prepared(panels.mdata, **with_batches()), "adt")
    second = dense(prepared(panels.mdata, **with_batches()), "adt")
    today = "the same values" if np.array_equal(first, second, equal_nan=True) else "other values"
    yield words("a second prepare", "ValueError", today, "the same values", today == "the same values")


def panels_apart() -> Iterator[Line]:
    """Two panels, prepared apart, then joined"""
    panels = Panels()
    yield from two_panels(panels, panels.apart(), SEEN_APART)


def ambient_counts(depth: float = 0.6, share: float = 0.2) -> MuData:
    """Counts less what the ambient RNA is expected to give: fractional."""
    mdata = made(depth=depth)
    counts = dense(mdata, "rna")
    soup = counts.sum(axis=0) / counts.sum()
    mdata.mod["rna"].X = np.maximum(counts - share * counts.sum(axis=1, keepdims=True) * soup, 0).astype(np.float32)
    return mdata


def ambient_by_default() -> Iterator[Line]:
    """Counts less ambient RNA, prepared by default"""
    clean = prepared(made(depth=0.6))
    train(clean)
    mdata = prepared(ambient_counts())
    train(mdata)
    yield number("NMI with the kinds of cells", 0.854, nmi(mdata, "kind"), nmi(clean, "kind"), least=0.95)


def ambient_by_name() -> Iterator[Line]:
    """The same, kinds={"rna": "ambient"}"""
    mdata = prepared(ambient_counts(), kinds={"rna": "ambient"})
    train(mdata)
    yield number("NMI with the kinds of cells", "no such kind", nmi(mdata, "kind"), 0.98, least=0.95)


def ambient_as_rna() -> Iterator[Line]:
    """The same, kinds={"rna": "rna"}"""
    mdata = prepared(ambient_counts(), kinds={"rna": "rna"})
    train(mdata)
    yield number("NMI with the kinds of cells", "refused", nmi(mdata, "kind"), 0.98, least=0.95)


def counts_with_rounding() -> Iterator[Line]:
    """Counts through log1p and back"""
    mdata = made()
    mdata.mod["rna"].X = np.expm1(np.log1p(dense(mdata, "rna").astype(np.float32)))
    prepared(mdata)
    kind = str(mdata.uns["scmoe"]["prepare"]["rna"]["kind"])
    yield words("rna is taken for", 'refused ("found 6")', kind, "rna", kind == "rna")


def tagged(mdata: MuData) -> tuple[ad.AnnData, NDArray[np.int64]]:
    """Counts of hashtags that were given to the cells at random, and the tag of each cell."""
    draw = np.random.default_rng(0)
    tag = draw.integers(N_TAGS, size=mdata.n_obs)
    counts = draw.poisson(3, (mdata.n_obs, N_TAGS))
    counts[np.arange(mdata.n_obs), tag] = draw.poisson(200 * draw.lognormal(0, 0.3, mdata.n_obs))
    return matrix(counts, mdata.obs_names, "Hashtag_"), tag


def _tag_scores(mdata: MuData, tag: NDArray[np.int64], seen: tuple[float, float]) -> Iterator[Line]:
    train(mdata, batch_key="batch")
    without = nmi(bmmc()[0], TYPES)
    yield number("NMI with the types", seen[0], nmi(mdata, TYPES), without, least=without - 0.01)
    yield number("neighbors with the same tag", seen[1], own_share(mdata, tag), own_share(bmmc()[0], tag), most=0.3)


def tags_apart() -> Iterator[Line]:
    """Hashtags as a third modality (Multiplexing Capture)"""
    mdata = scmoe.datasets.bmmc_cite()
    tags, tag = tagged(mdata)
    tags.var["feature_types"] = "Multiplexing Capture"
    mods = {name: mdata[name] for name in ("rna", "adt")}
    joined = MuData({**mods, "multiplexing_capture": tags})
    joined.obs[["batch", TYPES]] = mdata.obs[["batch", TYPES]]
    yield from _tag_scores(prepared(joined), tag, (0.546, 0.964))


def tags_among_proteins() -> Iterator[Line]:
    """Hashtags among the antibodies"""
    mdata = scmoe.datasets.bmmc_cite()
    tags, tag = tagged(mdata)
    joined = MuData({"rna": mdata["rna"], "adt": ad.concat([mdata["adt"], tags], axis=1)})
    joined.obs[["batch", TYPES]] = mdata.obs[["batch", TYPES]]
    yield from _tag_scores(prepared(joined), tag, (0.771, 0.539))


def other_genes() -> Iterator[Line]:
    """A model of 800 genes, a query of RNA with 1,000"""
    draw = np.random.default_rng(0)
    mdata = scmoe.datasets.bmmc_cite()
    is_query = draw.permutation(mdata.n_obs) < 150
    # Without the 200 most abundant ones: then the totals differ most between kinds of cells.
    genes = np.sort(np.argsort(dense(mdata, "rna").sum(axis=0))[:800])

    def cells(rows: NDArray[np.bool_], all_genes: bool) -> MuData:
        part = mdata[rows].copy()
        if not all_genes:
            part = MuData({"rna": part["rna"][:, genes].copy(), "adt": part["adt"].copy()})
            part.obs[["batch", TYPES]] = mdata.obs.loc[part.obs_names, ["batch", TYPES]]
        return prepared(part)

    reference = cells(~is_query, all_genes=False)
    model = train(reference, batch_key="batch")
    classifier = KNeighborsClassifier(N_NEIGHBORS).fit(reference.obsm["X_scmoe"], reference.obs[TYPES].astype(str))

    def accuracy(query: MuData) -> float:
        del query.mod["adt"]  # RNA alone: the proteins would make up for what the genes lose
        query.update()
        scmoe.tl.map_query(query, model)
        return float(classifier.score(query.obsm["X_scmoe"], query.obs[TYPES].astype(str)))

    right = accuracy(cells(is_query, all_genes=False))
    today = accuracy(cells(is_query, all_genes=True))
    yield number("accuracy of labels from 15 neighbors", 0.387, today, right, least=right - 0.01)


def variable_genes() -> Iterator[Line]:
    """var["highly_variable"] is set"""
    mdata = prepared(made())
    mdata["rna"].var["highly_variable"] = np.arange(mdata["rna"].n_vars) < 40
    n_genes = len(train(mdata, max_epochs=1).feature_names["rna"])
    yield words("genes used, of 100 with 40 variable", "100", str(n_genes), "40", n_genes == 40)


ROWS = {
    "A1": [unmeasured_proteins, cells_of_zeros],
    "A2": [panels_as_zeros, panels_as_nan, panels_with_counts, panels_apart],
    "A3": [ambient_by_default, ambient_by_name, ambient_as_rna, counts_with_rounding],
    "A4": [tags_apart, tags_among_proteins],
    "A6": [other_genes, variable_genes],
}
