"""Conditions compared sample by sample: sums of counts, tested with DESeq2's model."""

import warnings

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scmoe.differential._effects import PSEUDOCOUNT
from scmoe.differential._samples import Design

INSTALL = "pip install 'scmoe[differential]'"
COLUMNS = "mean_count log_fold_change standard_error p_value p_adjusted".split()


def require_pydeseq2() -> None:
    """Raise, before any work, if the library is not there."""
    try:
        import pydeseq2  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f"Tests of pseudobulk counts need pydeseq2, which is not installed. Install it: {INSTALL}."
        ) from error


def pseudobulk_table(
    sums: NDArray[np.float64],
    features: pd.Index,
    samples: list[str],
    design: Design,
    is_measured: NDArray[np.bool_],
    *,
    has_tests: bool,
) -> pd.DataFrame:
    """Compare the conditions of some samples with the reference.

    Parameters
    ----------
    sums
        (samples, D) sums of counts.
    features, samples
        Names.
    design
        Which condition a sample is of, and covariates.
    is_measured
        (D,) features that all cells of these samples had measured; others are not compared.
    has_tests
        Whether p-values are wanted, for which a condition must have two samples.

    Returns
    -------
    A row for each condition but the reference and each feature; p-values are NaN without tests.
    """
    table = design.table.loc[samples]
    sizes = design.sizes(samples)
    reference, *others = design.levels
    parts = []
    for level in others:
        if not sizes[level] or not sizes[reference]:
            continue
        rows = table["condition"].isin([level, reference]).to_numpy()
        own = pd.DataFrame(np.nan, index=features, columns=COLUMNS)
        is_used = is_measured & (sums[rows].sum(0) > 0)
        if is_used.any():
            compare = _deseq2 if has_tests else _fold_changes
            counts = pd.DataFrame(sums[rows][:, is_used], index=np.array(samples)[rows], columns=features[is_used])
            own.loc[is_used] = compare(counts, table[rows], level, reference).to_numpy()
        names = {"condition": level, "reference": reference, "n_samples": sizes[level], "n_reference": sizes[reference]}
        parts.append(own.rename_axis("feature").reset_index().assign(**names))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _deseq2(counts: pd.DataFrame, table: pd.DataFrame, level: str, reference: str) -> pd.DataFrame:
    """Fold changes and Wald tests of a negative binomial model."""
    from pydeseq2.dds import DeseqDataSet
    from pydeseq2.ds import DeseqStats

    # Names of the user's own may hold what formulas cannot.
    metadata = pd.DataFrame({"condition": np.where(table["condition"] == level, "b", "a")}, index=counts.index)
    covariates = [name for name in table if name != "condition" and table[name].nunique() > 1]
    for number, name in enumerate(covariates):
        metadata[f"covariate{number}"] = [f"c{code}" for code in pd.factorize(table[name])[0]]
    design = "~" + " + ".join([*(f"covariate{i}" for i in range(len(covariates))), "condition"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = DeseqDataSet(counts=counts.round().astype(int), metadata=metadata, design=design, quiet=True)
        data.deseq2()
        stats = DeseqStats(data, contrast=["condition", "b", "a"], quiet=True)
        stats.summary()
    results = stats.results_df.loc[counts.columns]
    return results[["baseMean", "log2FoldChange", "lfcSE", "pvalue", "padj"]].set_axis(COLUMNS, axis=1)


def _fold_changes(counts: pd.DataFrame, table: pd.DataFrame, level: str, reference: str) -> pd.DataFrame:
    """Fold changes alone, of counts per 10 000: with one sample a side, no test is possible."""
    scaled = 1e4 * counts.div(counts.sum(axis=1), axis=0)
    is_level = (table["condition"] == level).to_numpy()
    change = np.log2((scaled[is_level].mean() + PSEUDOCOUNT) / (scaled[~is_level].mean() + PSEUDOCOUNT))
    columns = [counts.mean(), change, np.nan, np.nan, np.nan]
    return pd.DataFrame(dict(zip(COLUMNS, columns, strict=True)), index=counts.columns)
