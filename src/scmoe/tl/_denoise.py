"""`denoise`: write a modality as the model sees it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mudata import MuData

from scmoe._keys import DEFAULT_KEY, Keys
from scmoe.arguments._checked import checks_arguments
from scmoe.datasets._anndata import takes_anndata
from scmoe.datasets._categories import Category
from scmoe.tl._results import check_results, inputs_of
from scmoe.tl._tables import as_layer
from scmoe.tl._untested import warn_of_tests
from scmoe.tl._write import write_to_modality

if TYPE_CHECKING:
    from scmoe.model._scmoe import SCMOE


@checks_arguments
@takes_anndata
def denoise(
    mdata: MuData,
    model: "SCMOE",
    *,
    modality: str,
    transform_batch: Category | Sequence[Category] | None = None,
    key_added: str = DEFAULT_KEY,
) -> None:
    """Decode a modality without noise, and if wished without batch effects.

    For plots, not for tests: these find differences that only the model makes. `scmoe.tl.markers` tests what was
    measured, and shows denoised fold changes beside.

    Parameters
    ----------
    mdata
        Training data or a query that has the modality.
    model
        A trained model.
    modality
        Its name.
    transform_batch
        Decode as if all cells were of this batch, or the mean over several; None: of their own.
    key_added
        Name of the results.

    Returns
    -------
    None
        Writes ``mdata.mod[modality].layers["{key_added}_denoised"]``, its cells x its features (NaN in features that
        the model does not know), in the units of `scmoe.model.SCMOE.get_normalized`.

    Raises
    ------
    KeyError
        A modality or batch that the model does not have, or a modality that `mdata` lacks.
    ValueError
        The data do not fit the model.

    Examples
    --------
    >>> scmoe.tl.denoise(mdata, model, modality="adt")
    >>> mdata["adt"].layers["scmoe_denoised"].shape
    (600, 134)
    """
    path = f"{modality}/layers/{Keys(name=key_added).denoised}"
    check_results(mdata, key_added, [path], inputs_of(model.setup, mdata))
    values = model.get_normalized(modality, mdata, transform_batch=transform_batch)
    if modality not in mdata.mod:
        raise KeyError(
            f"The MuData has no modality {modality!r}, so there is nothing to denoise; it has {', '.join(mdata.mod)}. "
            "scmoe.tl.impute predicts it from others."
        )
    warn_of_tests()
    write_to_modality(
        mdata, key_added, path, as_layer(mdata, modality, values, model.feature_names[modality], model.setup)
    )
