"""Groups that were made from the values that are to be tested."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from mudata import MuData

from scmoe._keys import HELD_OUT_LAYER, PARAMS
from scmoe._log import logger
from scmoe.tl._write import OBS, noted_paths

if TYPE_CHECKING:
    from scmoe.model._scmoe import SCMOE


def report_double_use(mdata: MuData, model: "SCMOE | None", groupby: str, modalities: Sequence[str]) -> None:
    """Say where tests ask the values that made the groups, or a model that has learned them.

    Parameters
    ----------
    mdata
        Data whose notes say what models and scanpy have written.
    model
        Whose denoised values stand beside the tests; None: none.
    groupby, modalities
        Column of the groups, and what is tested.
    """
    if is_made_from_values(mdata, groupby):
        whole = [name for name in modalities if HELD_OUT_LAYER not in mdata.mod[name].layers]
        if whole:
            logger.warning(
                "%s: obs[%r] was made by a model or a clustering. If that has read these values, p-values are too "
                "small: they rank features, and prove nothing. To test what the groups have not seen, set counts aside "
                "before the training, with scmoe.pp.split_counts",
                *(", ".join(whole), groupby),
            )
    if model is not None and groupby == model.setup.labels_key:
        logger.info(
            "obs[%r] is what the model was trained with: tests do not ask the model; denoised fold changes do, and may "
            "follow the labels",
            groupby,
        )


def is_made_from_values(mdata: MuData, groupby: str) -> bool:
    """Whether a column of ``obs`` is known to be a result: of a model of scmoe, or of a clustering of scanpy's."""
    if any(f"{OBS}/{groupby}" in noted_paths(mdata, key) for key in mdata.uns):
        return True
    owners = (mdata, *mdata.mod.values())
    entries = [each.uns[groupby] for each in owners if groupby in each.uns]
    return any(isinstance(entry, Mapping) and PARAMS in entry for entry in entries)
