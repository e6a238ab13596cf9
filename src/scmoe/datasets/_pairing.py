"""Which cells have which modalities: said, and looked at for names that keep cells apart or pair the wrong ones."""

import re
from collections.abc import Iterator, Sequence
from itertools import combinations, product
from typing import NamedTuple

import numpy as np
import pandas as pd
from mudata import MuData
from numpy.typing import NDArray

from scmoe._log import logger

FEW_SHARED = 0.1
"""Share of the smaller modality's cells below which two modalities count as hardly paired. A bridge of paired cells is
usually larger."""
MATCHING = 0.5
"""Share of the smaller modality's cells that another spelling must pair to be named. Barcodes of two experiments come
from one list, and agree in a few percent of the cells by chance."""
MAX_GROUPS = 5
"""Combinations of modalities that the log names."""
ORIGIN = re.compile(r"^(sample|donor|patient|subject|individual)(_?(id|name))?$|^orig\.?ident$", re.IGNORECASE)
"""Columns of ``obs`` of which a cell can have only one entry, whichever modality says it."""


N_LOOKED_AT = 200
"""Names, evenly from all, by which it is seen whether a beginning or an ending is common."""


class _Spelling(NamedTuple):
    """The names of a modality's cells in another way."""

    code: str
    """What comes after ``obs_names``, in Python; empty for the names as they are."""
    index: pd.Index


def describe_pairing(mdata: MuData, modalities: Sequence[str] | None = None) -> None:
    """Say how many cells have which modalities, and warn where names seem to keep the same cells apart.

    Cells are paired by name: their order in the modalities does not matter. Of one modality there is nothing to say.

    Parameters
    ----------
    mdata
        Checked data; nothing is written to it.
    modalities
        Names of the modalities; all of them by default.

    Raises
    ------
    ValueError
        Cells that are paired by name come from different samples or donors, as the modalities' ``obs`` say.
    """
    names = list(mdata.mod) if modalities is None else list(modalities)
    refuse_mismatched(mdata, names)
    _warn_of_order(mdata, names)
    present = presence_of(mdata, names)
    if len(names) > 1:
        logger.info("%s", summarize(names, present))
    for first, second in combinations(range(len(names)), 2):
        shared = int((present[:, first] & present[:, second]).sum())
        if shared < FEW_SHARED * present[:, [first, second]].sum(0).min():
            _warn_of_few(mdata, names[first], names[second], shared)


def _warn_of_order(mdata: MuData, names: Sequence[str]) -> None:
    """Warn where ``mdata.obs`` was replaced by a table in another order: mudata goes on pairing rows as they were."""
    for name in names:
        cells, rows = mdata.mod[name].obs_names, np.asarray(mdata.obsmap[name]).astype(int)
        is_there = rows > 0
        if is_there.sum() == len(cells) and not mdata.obs_names[is_there].equals(cells[rows[is_there] - 1]):
            logger.warning(
                "mdata.obs was replaced by a table in another order, so mdata[cells] takes other cells of %s. scmoe "
                "pairs cells by name, and is right; before you choose cells: obs = mdata.obs; "
                "mdata = mudata.MuData(dict(mdata.mod)); mdata.obs = obs.loc[mdata.obs_names]",
                name,
            )
            return


def presence_of(mdata: MuData, names: Sequence[str]) -> NDArray[np.bool_]:
    """(cells, modalities) whether a cell is in a modality."""
    return np.column_stack([mdata.obs_names.isin(mdata.mod[name].obs_names) for name in names])


def summarize(names: Sequence[str], present: NDArray[np.bool_]) -> str:
    """A phrase such as ``300 cells: 250 with rna and adt, 50 with rna only``."""
    groups, sizes = np.unique(present, axis=0, return_counts=True)
    phrases = []
    for i in sorted(range(len(groups)), key=lambda i: (-sizes[i], -groups[i].sum())):
        having = [name for name, has in zip(names, groups[i], strict=True) if has]
        only = " only" if len(having) == 1 else ""
        phrases.append(f"{sizes[i]} with {_listed(having) or 'none of these'}{only}")
    rest = [f"{len(phrases) - MAX_GROUPS} other combinations"] if len(phrases) > MAX_GROUPS else []
    return f"{len(present)} cells: {', '.join(phrases[:MAX_GROUPS] + rest)}"


def refuse_mismatched(mdata: MuData, names: Sequence[str]) -> None:
    """Raise if cells of one name come from different samples, by a column that the modalities both have."""
    for first, second in combinations(names, 2):
        one, other = mdata.mod[first].obs, mdata.mod[second].obs
        for key in (key for key in one if key in other and ORIGIN.match(str(key))):
            shared = one.index.intersection(other.index)
            pairs = pd.DataFrame({"one": one.loc[shared, key], "other": other.loc[shared, key]}).dropna().astype(str)
            differs = pairs[pairs["one"] != pairs["other"]]
            # The same samples may be called differently: then each name stands for one other, and nothing is mixed.
            is_renamed = (pairs.groupby("one")["other"].nunique() <= 1).all()
            if len(differs) and not is_renamed:
                cell = differs.index[0]
                raise ValueError(
                    f"{len(differs)} of the {len(shared)} cells that mdata[{first!r}] and mdata[{second!r}] share by "
                    f"name are not the same cells: {cell!r} has {key} {differs['one'].iloc[0]!r} in {first} and "
                    f"{differs['other'].iloc[0]!r} in {second}. Numbering repeated names apart does that. Start again "
                    "from the names that the sequencer gave, and put the sample before them in every modality: "
                    f"{prefix_code(first, key)}; {prefix_code(second, key)}; mdata = mudata.MuData(dict(mdata.mod))."
                )


def prefix_code(name: str, key: str) -> str:
    """Python that puts the sample before the name of each cell."""
    return f'mdata["{name}"].obs_names = mdata["{name}"].obs["{key}"].astype(str) + "_" + mdata["{name}"].obs_names'


def _warn_of_few(mdata: MuData, first: str, second: str, shared: int) -> None:
    sides = [(name, mdata.mod[name].obs_names.astype(str)) for name in (first, second)]
    total = min(len(index) for _, index in sides)
    examples = " and ".join(f"{index[0]!r} in {name}" for name, index in sides)
    found = f"{first} and {second} share {shared or 'no'} cells by name, such as {examples}"
    codes, matching = _best_match(sides)
    if matching >= MATCHING * total and matching > shared:
        logger.warning(
            "%s. %d would be shared if the names were written alike, before joining: %s; "
            "mdata = mudata.MuData(dict(mdata.mod))",
            *(found, matching, "; ".join(codes)),
        )
    else:
        logger.warning("%s. If these are the same cells, give them the same names in both", found)


def _best_match(sides: Sequence[tuple[str, pd.Index]]) -> tuple[list[str], int]:
    """Code that makes most cells match, with as few changes as will do, and how many match then."""
    names = [name for name, _ in sides]
    left, right = (list(_spellings(index, names)) for _, index in sides)
    best, matching = [""], 0
    for pair in sorted(product(left, right), key=lambda pair: sum(len(each.code) for each in pair)):
        n = len(pair[0].index.intersection(pair[1].index))
        if n > matching:
            codes = zip(names, pair, strict=True)
            best = [
                f'mdata["{name}"].obs_names = mdata["{name}"].obs_names{each.code}' for name, each in codes if each.code
            ]
            matching = n
    return best, matching


def _spellings(index: pd.Index, modalities: Sequence[str]) -> Iterator[_Spelling]:
    """The names as they are, and without what tools and people put before or after barcodes.

    A spelling in which two cells are called alike is left out: cells of several samples would become one.
    """
    either = "|".join(map(re.escape, modalities))
    beginnings = ["", rf"^(?i:{either})[-_.:# ]?", r"^.*[#:|]", r"^[^_]*_", r"^.*_"]  # ArchR and Seurat, velocyto
    endings = ["", r"-\d+$", rf"[-_.:# ]?(?i:{either})$", r"[-_.][^-_.]*$", r"x$"]  # 10x and joining, velocyto
    sample = index[np.unique(np.linspace(0, len(index) - 1, N_LOOKED_AT).astype(int))]
    for patterns in product(beginnings, endings):
        changed, code = index, ""
        for pattern, method in zip(patterns, ("removeprefix", "removesuffix"), strict=True):
            if not pattern:
                continue
            if not sample.str.contains(pattern).all():
                break
            affixes = {re.search(pattern, name)[0] for name in sample}  # type: ignore[index]
            literal = next(iter(affixes)) if len(affixes) == 1 else None
            if literal is None:
                changed, code = (
                    changed.str.replace(pattern, "", regex=True),
                    f'{code}.str.replace(r"{pattern}", "", regex=True)',
                )
            else:
                changed, code = getattr(changed.str, method)(literal), f'{code}.str.{method}("{literal}")'
        else:
            if changed.is_unique:
                yield _Spelling(code, changed)


def _listed(names: Sequence[str]) -> str:
    """``a``, ``a and b``, or ``a, b and c``."""
    return " and ".join([", ".join(names[:-1])] * (len(names) > 1) + list(names[-1:]))
