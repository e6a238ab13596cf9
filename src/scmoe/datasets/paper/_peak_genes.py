"""Which gene a peak lies nearest to."""

import os
import re
from collections.abc import Iterable

import numpy as np
import pandas as pd

PEAK = re.compile(r"^(.+?)[:\-_](\d+)[\-_](\d+)$")
"""Chromosome, start and end, as ``chr1:100-200``, ``chr1-100-200`` or ``chr1_100_200``."""
GTF_COLUMNS = {0: "chromosome", 2: "feature", 3: "start", 4: "end", 6: "strand", 8: "attributes"}


def read_starts(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Transcription starts of the genes in a GTF file: ``chromosome``, ``position`` (from 0) and ``gene``."""
    table = pd.read_csv(path, sep="\t", comment="#", header=None, usecols=list(GTF_COLUMNS), dtype={0: str})
    table = table.rename(columns=GTF_COLUMNS)
    table = table[table["feature"] == "gene"]
    names = table["attributes"].str.extract(r'gene_name "([^"]+)"')[0]
    names = names.fillna(table["attributes"].str.extract(r'gene_id "([^"]+)"')[0])
    forward = table["strand"] != "-"
    position = np.where(forward, table["start"] - 1, table["end"] - 1)
    out = pd.DataFrame({"chromosome": table["chromosome"], "position": position, "gene": names})
    if out.empty:
        raise ValueError(f"{path} has no line of a gene. Expected a GTF file, whose third column says 'gene'.")
    return out


def nearest_genes(peaks: Iterable[str], path: str | os.PathLike[str]) -> pd.DataFrame:
    """The gene whose transcription start is nearest to each peak.

    Parameters
    ----------
    peaks
        Names, as ``chr1:100-200``, ``chr1-100-200`` or ``chr1_100_200``.
    path
        A GTF file, which may be compressed. Chromosomes with and without ``chr`` are the same.

    Returns
    -------
    pandas.DataFrame
        With the peaks as index: ``gene``, and ``gene_distance`` in base pairs, 0 where the start is in the peak; none
        for names that are no places, and on chromosomes without genes.

    Raises
    ------
    ValueError
        The file has no genes, or none on the chromosomes of the peaks.
    """
    names = pd.Index(peaks)
    place = names.astype(str).to_series().str.extract(PEAK.pattern)
    chromosome = place[0].str.removeprefix("chr").to_numpy()
    start, end = (place[i].astype(float).to_numpy() for i in (1, 2))
    out = pd.DataFrame({"gene": pd.Series(np.nan, names, object), "gene_distance": pd.Series(np.nan, names)})
    starts = read_starts(path)
    for name, genes in starts.groupby(starts["chromosome"].str.removeprefix("chr")):
        rows = np.flatnonzero(chromosome == name)
        genes = genes.sort_values("position", kind="stable")
        at = genes["position"].to_numpy()
        first = np.searchsorted(at, start[rows])  # the first start that is not left of the peak
        candidates = np.stack([np.clip(first - 1, 0, None), np.clip(first, None, len(at) - 1)])
        distance = np.maximum(np.maximum(start[rows] - at[candidates], at[candidates] - (end[rows] - 1)), 0)
        best = distance.argmin(0)
        chosen = candidates[best, np.arange(len(rows))]
        out.iloc[rows, 0] = genes["gene"].to_numpy()[chosen]
        out.iloc[rows, 1] = distance.min(0)
    if out["gene"].isna().all():
        raise ValueError(
            f"No peak lies on a chromosome of {path}. Expected names such as chr1:100-200; found {names[0]!r}, and in "
            f"the file the chromosomes {', '.join(starts['chromosome'].unique()[:3])}."
        )
    return out
