"""What the names of genes tell."""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence

from anndata import AnnData

_ENSEMBL = re.compile(r"(ENS([A-Z]*)G\d{11})(\.\d+)?")
_SHOWN = 5


def gene_names(adata: AnnData, column: str | None = None) -> list[str]:
    """Names of all genes, from `var_names` or a column of ``adata.var``; empty where missing.

    Raises
    ------
    KeyError
        There is no such column.
    """
    if column is None:
        return [str(name).strip() for name in adata.var_names]
    if column not in adata.var:
        raise KeyError(f"adata.var has no column {column!r}; it has {list(adata.var)}.")
    values = adata.var[column].astype(object)
    return ["" if missing else str(name).strip() for name, missing in zip(values, values.isna(), strict=True)]


def unique_names(names: Iterable[str]) -> tuple[str, ...]:
    """The different names in order, without empty ones."""
    return tuple(dict.fromkeys(filter(None, names)))


def without_version(name: str) -> str:
    """Cut the version off an Ensembl gene identifier (ENSG00000075624.17).

    Other names stay as they are: symbols such as AC004556.1 end in a number too.
    """
    match = _ENSEMBL.fullmatch(name)
    return match[1] if match else name


def ensembl_species(names: Collection[str]) -> set[str]:
    """Letters of the species in Ensembl identifiers ("" for human, "MUS" for mouse), if most names are such."""
    species = Counter(match[2] for name in names if (match := _ENSEMBL.fullmatch(name)))
    return set(species) if species.total() > len(names) / 2 else set()


def some(names: Sequence[str]) -> str:
    """The first few names, for a message."""
    return ", ".join(map(str, names[:_SHOWN])) + (", ..." if len(names) > _SHOWN else "")
