"""One name for an antibody that vendors and labs write in many ways."""

import re

PREFIX = re.compile(
    r"^(?:(?:adt|prot|protein|ab|anti)[:._-]+|(?:anti[ _-])?(?:human|hu|humsrt|hums)[._ -]+)", re.IGNORECASE
)
"""Such as ``adt:CD69``, ``anti-CD3``, ``Hu.CD4``."""
SUFFIX = re.compile(
    r"(?:[._ -]+(?:total[ _-]?(?:seq[ _-]?)?[abcd]|adt|prot|protein|antibody|ab|[acgt]{15}))+$", re.IGNORECASE
)
"""Such as ``CD3_TotalSeqB``, ``CD3-CTCATTGTAACTCCT``."""
SEPARATOR = re.compile(r"(?<!\d)[ ._/-]+|[ ._/-]+(?!\d)")
"""Between two digits a separator stays: CD3-1 is not CD31."""
SYNONYMS = {
    "cd3e": "cd3",
    "cd8a": "cd8",
    "pd1": "cd279",
    "pdl1": "cd274",
    "pdl2": "cd273",
    "ctla4": "cd152",
    "lag3": "cd223",
    "tim3": "cd366",
    "icos": "cd278",
    "ox40": "cd134",
    "41bb": "cd137",
    "btla": "cd272",
    "hvem": "cd270",
    "il7ra": "cd127",
    "il2ra": "cd25",
    "ncam": "cd56",
    "ncam1": "cd56",
    "ccr4": "cd194",
    "ccr5": "cd195",
    "ccr6": "cd196",
    "ccr7": "cd197",
    "cxcr3": "cd183",
    "cxcr4": "cd184",
    "cxcr5": "cd185",
    "nkg2d": "cd314",
    "nkp46": "cd335",
    "dnam1": "cd226",
    "bdca1": "cd1c",
    "bdca2": "cd303",
    "bdca3": "cd141",
    "pecam1": "cd31",
}
"""CD numbers of proteins that panels also call otherwise, both in the form of `antibody_name`."""


def antibody_name(name: str) -> str:
    """A name without what vendors and programs add, in small letters, as a CD number where it has one.

    ``CD8a_TotalSeqB``, ``adt:CD8`` and ``CD8`` are one.
    """
    bare = SUFFIX.sub("", PREFIX.sub("", name.strip()))
    plain = SEPARATOR.sub("", bare or name).casefold()
    return SYNONYMS.get(plain, plain)
