"""Names of genes that a spreadsheet has changed."""

import re

import pandas as pd

from scmoe._log import logger

CHANGED = re.compile(
    r"X?\d{1,2}[-.](mar|sep|dec|apr|oct|feb|nov)|(mar|sep|dec|apr|oct|feb|nov)[-.]\d\d"
    r"|\d{4}-\d\d-\d\d( 00:00:00)?|\d{1,2}/\d{1,2}/\d{2,4}|\d(\.\d+)?e\+\d+",
    re.IGNORECASE,
)
"""Dates made of MARCH1, SEPT2, DEC1, APR1 and others, and numbers made of 2310009E13 (Rik)."""
N_SHOWN = 3


def warn_of_changed(name: str, features: pd.Index) -> None:
    """Warn where genes are named like dates or numbers, as spreadsheets make them; they match no other data.

    Parameters
    ----------
    name
        Of the modality.
    features
        Its features.
    """
    changed = [str(feature) for feature in features if CHANGED.fullmatch(str(feature))]
    if changed:
        shown = ", ".join(changed[:N_SHOWN]) + (", ..." if len(changed) > N_SHOWN else "")
        logger.warning(
            "%s: %d genes are called like dates or numbers (%s). A spreadsheet does that to symbols such as MARCH1, "
            "SEPT2 and 2310009E13Rik; several genes may have become one name, so take the names from the source",
            *(name, len(changed), shown),
        )
