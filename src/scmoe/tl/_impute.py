"""`impute`: write one modality as predicted from others."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from mudata import MuData

from scmoe._keys import DEFAULT_KEY, Keys
from scmoe.arguments._checked import checks_arguments
from scmoe.datasets._anndata import takes_anndata
from scmoe.datasets._categories import Category
from scmoe.tl._results import check_results, inputs_of
from scmoe.tl._tables import as_layer, storable_frame
from scmoe.tl._write import drop_arrays, write_frame, write_to_modality

if TYPE_CHECKING:
    from scmoe.model._scmoe import SCMOE


@checks_arguments
@takes_anndata
def impute(
    mdata: MuData,
    model: "SCMOE",
    *,
    source: str | Sequence[str],
    target: str,
    transform_batch: Category | Sequence[Category] | None = None,
    interval: bool = False,
    key_added: str = DEFAULT_KEY,
) -> None:
    """Predict a modality from others, with the target absent from the input.

    Parameters
    ----------
    mdata
        Training data or a query.
    model
        A trained model.
    source
        The modality or modalities to look at.
    target
        The modality to predict.
    transform_batch
        Predict as if all cells were of this batch, or the mean over several; None: of their own.
    interval
        Whether to write the ends of intervals as well, two more arrays of the size of the predictions.
    key_added
        Name of the results.

    Returns
    -------
    None
        Writes ``mdata.obsm["{key_added}_{target}_from_{source}"]``, a frame of all cells x features of the target (NaN
        for cells without source), and the same for the cells that the target has in ``mdata.mod[target].layers`` (if
        `mdata` has the target, with its features in the order of that modality; NaN in features that the model does not
        know). Beside each, with ``_sd`` at the end of the key, the standard deviation of every predicted value; with
        `interval` also, with ``_lower`` and ``_upper``, the ends of its interval (otherwise those of an earlier call
        are removed). Several sources are joined by ``+``; in the names of the columns ``/`` becomes ``_``. Units: see
        `scmoe.model.SCMOE.impute`.

    Raises
    ------
    KeyError
        A modality that the model does not have.
    ValueError
        The target is among the sources, or the data do not fit the model.
    """
    names = [source] if isinstance(source, str) else list(source)
    keys = Keys(name=key_added)
    keys.check_imputed(target, names, {*model.modalities, *mdata.mod})
    bounds = keys.imputed_bounds(target, names)
    stored = (keys.imputed(target, names), keys.imputed_sd(target, names), *bounds)
    places = ("obsm", f"{target}/layers")
    paths = [f"{where}/{name}" for where in places for name in stored]
    check_results(mdata, key_added, paths, inputs_of(model.setup, mdata))
    arrays: tuple[np.ndarray, ...]
    if interval:
        arrays = model.impute(
            names, target, mdata, transform_batch=transform_batch, return_sd=True, return_interval=True
        )
    else:
        arrays = model.impute(names, target, mdata, transform_batch=transform_batch, return_sd=True)
        drop_arrays(mdata, key_added, [f"{where}/{name}" for where in places for name in bounds])
    features = model.feature_names[target]
    for name, values in zip(stored[: len(arrays)], arrays, strict=True):
        if target in mdata.mod:
            write_to_modality(mdata, key_added, f"{target}/layers/{name}", as_layer(mdata, target, values, features))
        write_frame(mdata, key_added, name, storable_frame(values, mdata, features))
