"""Samples of a design: which cells are of which sample, and which samples are of which condition."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scmoe._matrix import Matrix
from scmoe.differential._effects import indicator, sums

MIN_SAMPLES = 2
"""Samples of either condition: of one, nobody knows how much samples differ anyway."""


class Design(NamedTuple):
    """Samples, such as donors, and what is known of each."""

    codes: NDArray[np.intp]
    """(n,) sample of each cell; -1: none, or of a condition that is not compared."""
    table: pd.DataFrame
    """By sample: its condition in the column ``condition``, and covariates."""
    levels: list[str]
    """Conditions, the reference first."""

    def sizes(self, samples: Sequence[str]) -> dict[str, int]:
        """How many of some samples are of each condition."""
        counts = self.table.loc[list(samples), "condition"].value_counts()
        return {level: int(counts.get(level, 0)) for level in self.levels}


def make_design(
    obs: pd.DataFrame, condition: str, sample_key: str, reference: str | None, covariates: Sequence[str]
) -> Design:
    """Describe the samples of cells.

    Parameters
    ----------
    obs
        Columns of text, None where a cell has no entry; such cells are left out.
    condition, sample_key, covariates
        Names of columns.
    reference
        Condition that others are compared with; None: the first by name.

    Raises
    ------
    KeyError
        The reference is no condition.
    ValueError
        There is one condition only, or a sample has several of them.
    """
    columns = [condition, *covariates]
    known = obs[[sample_key, *columns]].dropna()
    for column in columns:
        n_values = known.groupby(sample_key, observed=True)[column].nunique()
        if (n_values > 1).any():
            sample = n_values.index[int((n_values > 1).to_numpy().argmax())]
            values = ", ".join(sorted(known.loc[known[sample_key] == sample, column].unique())[:3])
            raise ValueError(
                f"Each sample must be of one {column!r}; {sample!r} of {sample_key!r} is of {values}. If a donor was "
                f"sampled under several, name the samples: mdata.obs['sample'] = mdata.obs[{sample_key!r}].astype(str) "
                f"+ ' ' + mdata.obs[{column!r}].astype(str), sample_key='sample'; and the donor as a covariate."
            )
    table = known.drop_duplicates(sample_key).set_index(sample_key)[columns].rename(columns={condition: "condition"})
    table = table.sort_index()
    levels = sorted(table["condition"].unique())
    if len(levels) < 2:
        raise ValueError(f"condition={condition!r} must have at least two values; found {', '.join(levels) or 'none'}.")
    if reference is not None and reference not in levels:
        raise KeyError(f"reference={reference!r} is no value of {condition!r}; it has {', '.join(levels)}.")
    first = levels[0] if reference is None else reference
    codes = pd.Index(table.index).get_indexer(obs[sample_key].where(obs[[sample_key, *columns]].notna().all(axis=1)))
    return Design(codes, table, [first, *(level for level in levels if level != first)])


def sums_by_sample(counts: Matrix, codes: NDArray[np.intp], n_samples: int) -> NDArray[np.float64]:
    """(samples, D) sums of the counts of cells; -1 is no sample."""
    return sums(indicator(codes, n_samples), counts)
