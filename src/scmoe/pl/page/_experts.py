"""Section: which experts serve which modalities and groups of cells."""

import pandas as pd
from mudata import MuData

from scmoe._keys import EXPERT_SUMMARY, EXPERT_USAGE, EXPERT_USAGE_GROUPBY
from scmoe.pl._expert_usage import expert_usage
from scmoe.pl._figures import smallest_group
from scmoe.pl.page._section import Section, picture


def experts_section(mdata: MuData, key: str) -> Section | None:
    """Usage by modality and by group; None where `scmoe.tl.expert_usage` was not run."""
    results = mdata.uns[key]
    if EXPERT_USAGE not in results:
        return None
    usage = pd.DataFrame(results[EXPERT_USAGE])
    pictures = [picture(expert_usage(mdata, key=key), "Experts by modality")]  # type: ignore[arg-type]
    if results.get(EXPERT_USAGE_GROUPBY):
        ax = expert_usage(mdata, by="group", min_cells=smallest_group(usage), key=key)
        pictures.append(picture(ax, f"Experts by {results[EXPERT_USAGE_GROUPBY]}"))  # type: ignore[arg-type]
    sentence = (
        "Shares of the routing weight. A router prefers some experts for some modalities before it has learned "
        "anything: what an untrained one shows is no finding."
    )
    return Section(
        name="experts",
        title="Experts",
        sentences=[sentence] if EXPERT_SUMMARY in results else [],
        pictures=pictures,
    )
