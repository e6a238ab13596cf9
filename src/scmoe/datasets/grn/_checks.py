"""Checks of what `scmoe.datasets.simulate_grn` is asked for."""

from collections.abc import Collection, Mapping
from difflib import get_close_matches
from numbers import Integral, Real

from scmoe.datasets.grn._network import BACKBONES, Backbone


def find_backbone(name: str) -> Backbone:
    """The backbone of this name.

    Raises
    ------
    ValueError
        There is none.
    """
    if not isinstance(name, str) or name not in BACKBONES:
        raise ValueError(f"backbone must be one of {', '.join(BACKBONES)}; found {name!r}.")
    return BACKBONES[name]


def check_whole(argument: str, value: int, most: float = float("inf")) -> None:
    """Refuse what is not a whole number from 1 to `most`."""
    if not isinstance(value, Integral) or isinstance(value, bool) or not 1 <= value <= most:
        upper = "" if most == float("inf") else f" and at most {most}, the number of cells"
        raise ValueError(f"{argument} must be a whole number of at least 1{upper}; found {value!r}.")


def check_spread(argument: str, value: float) -> None:
    """Refuse a standard deviation that is not a number of at least 0."""
    if not isinstance(value, Real) or not 0 <= value < float("inf"):
        raise ValueError(f"{argument} is a standard deviation and must be a number of at least 0; found {value!r}.")


def check_shares(argument: str, shares: Mapping[str, float], names: Collection[str]) -> None:
    """Refuse unknown names and shares that are not numbers from 0 to 1."""
    if not isinstance(shares, Mapping):
        raise ValueError(
            f"{argument} must map names to shares, as in {{{next(iter(names))!r}: 0.1}}; found {shares!r}."
        )
    for name, share in shares.items():
        if name not in names:
            raise ValueError(f"{argument} names {name!r}; choose from {', '.join(names)}.")
        if not isinstance(share, Real) or not 0 <= share <= 1:
            raise ValueError(f"{argument}[{name!r}] must be a share from 0 to 1; found {share!r}.")


def check_stage_shares(shares: Mapping[str, float], stages: Collection[str]) -> None:
    """Refuse shares of stages above 1 together, or of all stages but not 1 together."""
    check_shares("stage_shares", shares, stages)
    total = sum(shares.values())
    if total > 1 + 1e-9 or (len(shares) == len(stages) and total < 1 - 1e-9):
        limit = "1, since it names all stages" if len(shares) == len(stages) else "at most 1"
        raise ValueError(f"The shares in stage_shares must sum to {limit}; found {total:.6g} in {dict(shares)}.")


def find_gene(gene: str, genes: list[str]) -> int:
    """Position of the gene to knock out.

    Raises
    ------
    ValueError
        There is none of this name; the message has the nearest names.
    """
    if gene not in genes:
        of_module = [name for name in genes if name.startswith(f"{gene}_")]
        close = of_module or get_close_matches(str(gene), genes, n=3) or genes[:3]
        raise ValueError(
            f"knock_out names the gene {gene!r}, which the network lacks; did you mean {', '.join(close)}?"
        )
    return genes.index(gene)
