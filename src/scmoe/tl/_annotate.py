"""`annotate`: write predicted labels."""

from typing import TYPE_CHECKING

import pandas as pd
from mudata import MuData

from scmoe._keys import DEFAULT_KEY, Keys
from scmoe.tl._tables import storable_frame

if TYPE_CHECKING:
    from scmoe.model._scmoe import SCMOE


def annotate(mdata: MuData, model: "SCMOE", *, key_added: str = DEFAULT_KEY) -> None:
    """Label the cells.

    Parameters
    ----------
    mdata
        Training data or a query; labels it holds are not looked at.
    model
        A model trained with ``labels_key``.
    key_added
        Name of the results.

    Returns
    -------
    None
        Writes ``mdata.obs["{key_added}_label"]`` (categorical), ``mdata.obs["{key_added}_label_confidence"]`` (the
        probability of that label) and ``mdata.obsm["{key_added}_label_probability"]`` (a frame, cells x labels; ``/``
        in a label becomes ``_``).

    Raises
    ------
    ValueError
        The model was trained without labels, or the data do not fit it.
    """
    keys = Keys(name=key_added)
    probability = model.predict(mdata, soft=True)
    assert isinstance(probability, pd.DataFrame)
    best = probability.to_numpy().argmax(1)
    mdata.obs[keys.label] = pd.Categorical.from_codes(best, probability.columns)
    mdata.obs[keys.label_confidence] = probability.to_numpy().max(1)
    mdata.obsm[keys.label_probability] = storable_frame(probability.to_numpy(), mdata, model.setup.labels)
