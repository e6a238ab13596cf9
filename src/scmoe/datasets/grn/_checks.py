"""Checks of what `scmoe.datasets.simulate_grn` is asked for."""

from collections.abc import Collection, Mapping
from difflib import get_close_matches

from scmoe.datasets.grn._network import BACKBONES, Backbone


def find_backbone(name: str) -> Backbone:
    """The backbone of this name.

    Raises
    ------
    ValueError
        There is none.
    """
    if name not in BACKBONES:
        raise ValueError(f"backbone must be one of {', '.join(BACKBONES)}; found {name!r}.")
    return BACKBONES[name]


def check_shares(argument: str, shares: Mapping[str, float], names: Collection[str]) -> None:
    """Refuse unknown names and shares that are not numbers from 0 to 1."""
    for name, share in shares.items():
        if name not in names:
            raise ValueError(f"{argument} names {name!r}; choose from {', '.join(names)}.")
        if not 0 <= share <= 1:
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
