"""How the features of a modality fit those of a model, whatever they are named by."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from anndata import AnnData

from scmoe.data._antibodies import antibody_name
from scmoe.io._plain import is_text
from scmoe.tokens._names import ensembl_species, gene_names, some, without_version


class FeatureMatch(NamedTuple):
    """Where the features of a model are in a modality."""

    columns: np.ndarray
    """(D,) int64 position of each in the modality; -1: not there, or not without doubt."""
    n_versions: int
    """How many are the same but for the version of an Ensembl identifier."""
    source: str | None
    """Column of ``var`` whose names fit; None: the names of the features themselves."""
    synonyms: dict[str, str] = {}
    """Names of antibodies in the data, and those that the model has for them, where they are written otherwise."""

    @property
    def n_found(self) -> int:
        """How many are there."""
        return int((self.columns >= 0).sum())


def match_features(wanted: Sequence[str], adata: AnnData, *, is_protein: bool = False) -> FeatureMatch:
    """Find the features of a model by their names, or in the column of ``var`` that holds more of them.

    Names are compared as they are written, then without the version of Ensembl identifiers (ENSG00000075624.17), and
    those of antibodies without what vendors add and by CD numbers (``CD8a_TotalSeqB`` is ``CD8``, ``PD-1`` is
    ``CD279``). A name that several features have is not matched: which of them is meant, nobody knows.

    Parameters
    ----------
    wanted
        Names of the model's D features, all different.
    adata
        The modality.
    is_protein
        Whether its features are antibodies.
    """
    match = _match_antibodies if is_protein else _match
    best = match(wanted, gene_names(adata), None)
    if best.n_found < len(wanted):
        for key in _text_columns(adata):
            best = max(best, match(wanted, gene_names(adata, key), key), key=lambda match: match.n_found)
    return best


def _text_columns(adata: AnnData) -> list[str]:
    """Columns of ``var`` that may hold names: text, or the categories that files make of it."""
    var = adata.var
    return [key for key in var if isinstance(var[key].dtype, pd.CategoricalDtype) or is_text(var[key])]


def names_in_model(wanted: Sequence[str], adata: AnnData, *, is_protein: bool = False) -> pd.Index:
    """Names of the features of a modality, as the model writes them where it has them."""
    columns = match_features(wanted, adata, is_protein=is_protein).columns
    # A feature that is not the one that the model calls so must not pass for it.
    known = set(wanted)
    names = np.array(["" if name in known else name for name in adata.var_names.astype(str)], dtype=object)
    names[columns[columns >= 0]] = np.asarray(wanted, dtype=object)[columns >= 0]
    return pd.Index(names)


def _match(wanted: Sequence[str], present: Sequence[str], source: str | None) -> FeatureMatch:
    """Match names as they are, and those that are left without their version."""
    columns = _unique_positions(wanted, present)
    n_exact = int((columns >= 0).sum())
    columns = _match_rest(
        columns, [without_version(name) for name in wanted], [without_version(name) for name in present]
    )
    return FeatureMatch(columns, int((columns >= 0).sum()) - n_exact, source)


def _match_antibodies(wanted: Sequence[str], present: Sequence[str], source: str | None) -> FeatureMatch:
    """Match names as they are, and those that are left as names of antibodies."""
    exact = _unique_positions(wanted, present)
    columns = _match_rest(exact, [antibody_name(name) for name in wanted], [antibody_name(name) for name in present])
    by_synonym = np.flatnonzero((columns >= 0) & (exact < 0)).tolist()
    return FeatureMatch(columns, 0, source, {present[int(columns[i])]: wanted[i] for i in by_synonym})


def _match_rest(columns: np.ndarray, wanted: Sequence[str], present: Sequence[str]) -> np.ndarray:
    """Positions (D,), where they are -1 those of the same name, if it is unique on both sides and not taken."""
    if (columns >= 0).all():
        return columns
    counts, used = Counter(wanted), set(columns.tolist())
    rest = [
        position if counts[name] == 1 and int(position) not in used else -1
        for name, position in zip(wanted, _unique_positions(wanted, present), strict=True)
    ]
    return np.where(columns < 0, np.array(rest, np.int64), columns)


def _unique_positions(wanted: Sequence[str], present: Sequence[str]) -> np.ndarray:
    """Position of each name; -1: not there, or several times."""
    counts = Counter(present)
    places = {name: i for i, name in enumerate(present) if counts[name] == 1 and name}
    return np.array([places.get(name, -1) for name in wanted], dtype=np.int64)


def mismatch_reason(wanted: Sequence[str], adata: AnnData, modality: str) -> str:
    """Tell from names why so few features of a model are there, and what to do."""
    present = gene_names(adata)
    here, there = ensembl_species(present), ensembl_species(wanted)
    if here and there and not here & there:
        return (
            f"These are Ensembl identifiers of different species (ENS{min(here)}G and ENS{min(there)}G). Use a model "
            "of the species of the data, or map genes to their orthologs first."
        )
    known = {name.casefold() for name in wanted}
    if 2 * sum(name.casefold() in known for name in set(present) - set(wanted)) > min(len(known), len(present)):
        return (
            "Most differ only in upper and lower case, as symbols of human (ACTB) and mouse (Actb) do. Use a model of "
            "the species of the data, or map genes to their orthologs first; if they are of one species, rename them."
        )
    for names in (present, *(gene_names(adata, key) for key in _text_columns(adata))):
        counts = Counter(map(without_version, names))
        repeated = [name for name in wanted if counts[without_version(name)] > 1]
        if 2 * len(repeated) > len(wanted):
            return (
                f"Many of these names stand for several features ({some(repeated)}). Keep one feature of each name in "
                "the data that are mapped."
            )
    if bool(here) != bool(there):
        kinds = ("Ensembl identifiers", "symbols")[:: 1 if here else -1]
        return (
            f"The data seem to hold {kinds[0]}, and the model {kinds[1]}. Put the {kinds[1]} into a column of "
            f"mdata[{modality!r}].var (any name will do): they are then found by it."
        )
    return (
        f"Check that mdata[{modality!r}] holds what the model calls {modality}; if its features have other names in a "
        f"table, put these into a column of mdata[{modality!r}].var: they are then found by it."
    )
