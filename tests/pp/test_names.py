"""Names of genes that a spreadsheet has changed are said to be so, and others are not."""

import pandas as pd
import pytest

from scmoe._log import logger
from scmoe.pp._names import warn_of_changed

CHANGED = ["1-Mar", "02-Sep", "1-Dec", "Mar-01", "X2.Sep", "2001-03-01 00:00:00", "2021-03-01", "3/1/2021", "2.31E+19"]
GENES = ["MARCH1", "SEPTIN2", "Sept2", "DEC1", "Oct-4", "OCT4", "HLA-DRB1", "NKX2-1", "H2-K1", "2310009E13Rik", "AC1.1"]


@pytest.mark.parametrize("name", CHANGED)
def test_dates_and_numbers_are_named(name: str, caplog: pytest.LogCaptureFixture, monkeypatch) -> None:
    monkeypatch.setattr(logger, "propagate", True)
    warn_of_changed("rna", pd.Index([*GENES, name]))
    assert f"rna: 1 genes are called like dates or numbers ({name})" in caplog.text


def test_symbols_are_none(caplog: pytest.LogCaptureFixture, monkeypatch) -> None:
    monkeypatch.setattr(logger, "propagate", True)
    warn_of_changed("rna", pd.Index(GENES))
    assert not caplog.text
