"""`impute`: write one modality as predicted from others."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd
from mudata import MuData

from scmoe._keys import DEFAULT_KEY, Keys
from scmoe.tl._embed import rows_of
from scmoe.tl._tables import storable_frame

if TYPE_CHECKING:
    from scmoe.model._scmoe import SCMOE


def impute(
    mdata: MuData, model: "SCMOE", *, source: str | Sequence[str], target: str, key_added: str = DEFAULT_KEY
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
    key_added
        Name of the results.

    Returns
    -------
    None
        Writes ``mdata.obsm["{key_added}_{target}_from_{source}"]``, a frame of all cells x features of the target (NaN
        for cells without source), and the same for the cells that the target has in ``mdata.mod[target].layers`` (if
        `mdata` has the target, with its features in the order of that modality). Several sources are joined by ``+``; in
        the names of the columns ``/`` becomes ``_``. Units: see `scmoe.model.SCMOE.impute`.

    Raises
    ------
    KeyError
        A modality that the model does not have.
    ValueError
        The target is among the sources, or the data do not fit the model.
    """
    names = [source] if isinstance(source, str) else list(source)
    key = Keys(name=key_added).imputed(target, "+".join(names))
    predicted = model.impute(names, target, mdata)
    features = model.feature_names[target]
    if target in mdata.mod:
        adata = mdata.mod[target]
        adata.layers[key] = rows_of(mdata, target, predicted)[:, pd.Index(features).get_indexer(adata.var_names)]
    mdata.obsm[key] = storable_frame(predicted, mdata, features)
