"""mudata's settings, whichever version is installed."""

import logging

import mudata

from scmoe.io._quiet import quiet_mudata


def test_quiet_mudata_leaves_no_trace(mdata: mudata.MuData) -> None:
    mdata.mod["rna"].obs["depth"] = 1.0
    handlers, before = list(logging.getLogger().handlers), pulled(mdata)
    with quiet_mudata():
        pass
    assert pulled(mdata) == before
    assert logging.getLogger().handlers == handlers


def pulled(mdata: mudata.MuData) -> list[str]:
    """What an update pulls into the global table: the effect of mudata's setting, which versions name differently."""
    again = mdata.copy()
    again.update()
    return list(again.obs)
