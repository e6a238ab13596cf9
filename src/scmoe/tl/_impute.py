"""`impute`: write one modality as predicted from others."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mudata import MuData

from scmoe._keys import DEFAULT_KEY, Keys
from scmoe.arguments._checked import checks_arguments
from scmoe.datasets._anndata import takes_anndata
from scmoe.tl._tables import as_layer, storable_frame

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
    transform_batch: str | Sequence[str] | None = None,
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
    key_added
        Name of the results.

    Returns
    -------
    None
        Writes ``mdata.obsm["{key_added}_{target}_from_{source}"]``, a frame of all cells x features of the target (NaN
        for cells without source), and the same for the cells that the target has in ``mdata.mod[target].layers`` (if
        `mdata` has the target, with its features in the order of that modality; NaN in features that the model does not
        know). Beside each, with ``_sd`` at the end of the key, the standard deviation of every predicted value. Several
        sources are joined by ``+``; in the names of the columns ``/`` becomes ``_``. Units: see
        `scmoe.model.SCMOE.impute`.

    Raises
    ------
    KeyError
        A modality that the model does not have.
    ValueError
        The target is among the sources, or the data do not fit the model.
    """
    names = [source] if isinstance(source, str) else list(source)
    keys, source = Keys(name=key_added), "+".join(names)
    mean, sd = model.impute(names, target, mdata, transform_batch=transform_batch, return_sd=True)
    features = model.feature_names[target]
    for key, values in ((keys.imputed(target, source), mean), (keys.imputed_sd(target, source), sd)):
        if target in mdata.mod:
            mdata.mod[target].layers[key] = as_layer(mdata, target, values, features)
        mdata.obsm[key] = storable_frame(values, mdata, features)
