"""`gradient_conflict`: write how the gradients of modalities and tasks agree."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd
from mudata import MuData

from scmoe._keys import DEFAULT_KEY, GRADIENT_CONFLICT
from scmoe.arguments._checked import checks_arguments
from scmoe.datasets._anndata import takes_anndata
from scmoe.explain._conflict import conflict_table
from scmoe.model.explain._gradients import DEFINITIONS, Definition
from scmoe.tl._results import check_results
from scmoe.tl._write import write_uns

if TYPE_CHECKING:
    from scmoe.model._scmoe import SCMOE


@checks_arguments
@takes_anndata
def gradient_conflict(
    mdata: MuData,
    model: "SCMOE",
    *,
    definition: Definition | None = None,
    n_batches: int = 50,
    batch_size: int = 128,
    seed: int = 0,
    plan_kwargs: Mapping[str, Any] | None = None,
    key_added: str = DEFAULT_KEY,
) -> None:
    """Tell whether modalities, or tasks, pull the experts that they share in different directions.

    Gradients are taken on all parameters of a layer's experts, without dropout and noise, with random attention
    groups as in the training. After the scMoE paper, Figure 1b, which leaves open what the gradient of a modality is.
    The definitions:

    - ``"target"``: of the loss of decoding the modality, from all states. Over modalities they add up to the gradient
      of the decoding loss.
    - ``"source"``: of the loss of decoding all modalities from the modality's state. They add up to the same.
    - ``"token"``: of the whole training loss, as far as it reaches the experts through the modality's tokens. They
      add up to the whole gradient.
    - ``"task"``: of the reconstruction, the neighbor graph, the router's losses and the clustering, as far as there
      are. They add up to the whole gradient.

    The reference is the cosine of the gradients of random groups of a batch's cells, one group for each modality (two
    for tasks). It is of the decoding loss for targets and sources, and of the whole loss for tokens and tasks. These
    gradients differ by chance alone. How far their cosine stays below 1 is what few cells cost; a lower cosine is
    conflict.

    Parameters
    ----------
    mdata
        Training data, or data with the same modalities.
    model
        A trained model.
    definition
        One of the above; None: all.
    n_batches
        Batches, made as in the training; with fewer cells, these come again in another order.
    batch_size
        Cells a batch.
    seed
        Of batches, attention groups and random groups of cells.
    plan_kwargs
        The fields of `scmoe.model.TrainConfig` that the model was trained with, if not the defaults.
    key_added
        Name of the results.

    Returns
    -------
    None
        Writes ``mdata.uns[key_added]["gradient_conflict"]``, a frame with a row for each definition, layer and pair,
        whose columns `scmoe.explain.conflict_table` explains.

    Raises
    ------
    ValueError
        An unknown definition, a model of one modality, or data that do not fit the model or lack one of its modalities.

    Examples
    --------
    >>> scmoe.tl.gradient_conflict(mdata, model, definition="target", n_batches=5)
    >>> mdata.uns["scmoe"]["gradient_conflict"][["first", "second"]].to_numpy().tolist()
    [['rna', 'adt']]
    """
    check_results(mdata, key_added)
    tables = []
    for name in DEFINITIONS if definition is None else (definition,):
        result = model.get_gradient_conflict(
            mdata, definition=name, n_batches=n_batches, batch_size=batch_size, seed=seed, plan_kwargs=plan_kwargs
        )
        tables.append(conflict_table(result.gram, result.reference, result.names, name))
    write_uns(mdata, key_added, **{GRADIENT_CONFLICT: pd.concat(tables, ignore_index=True)})
