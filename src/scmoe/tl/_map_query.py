"""`map_query`: everything that a trained model says about new cells."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from mudata import MuData

from scmoe._check import check_mdata
from scmoe._keys import DEFAULT_KEY, QUERY, Keys
from scmoe._log import logger
from scmoe.arguments._checked import checks_arguments
from scmoe.data._covariates import batches_unknown_to
from scmoe.data._setup import Setup
from scmoe.datasets._anndata import takes_anndata
from scmoe.datasets._cells import raw_column
from scmoe.metrics._hubs import HubRatio
from scmoe.readout._hubs import query_hubs, query_verdict
from scmoe.tl._annotate import write_annotation
from scmoe.tl._embed import write_embedding
from scmoe.tl._results import check_results, inputs_of
from scmoe.tl._router import router_paths, write_router
from scmoe.tl._write import drop_results, result_paths, write_obs, write_uns

if TYPE_CHECKING:
    from scmoe.model._results import Results
    from scmoe.model._scmoe import SCMOE

NEW_BATCHES = "new_batches"
LOW_SCORE = 0.05
"""Mapping scores below this are counted in the log."""


@checks_arguments
@takes_anndata
def map_query(mdata: MuData, model: "SCMOE", *, adapt: bool = False, key_added: str = DEFAULT_KEY) -> "SCMOE":
    """Map new cells with a trained model; nothing is trained.

    The cells may lack modalities and features, have features that the model does not know, and come from new batches.
    One line of the log gives the median mapping score and the share of cells below 0.05.

    Parameters
    ----------
    mdata
        The query, prepared as the training data were.
    model
        A trained model.
    adapt
        Whether to take the effects of new batches, if there are any, out of the embedding first; see
        `scmoe.model.SCMOE.adapt`.
    key_added
        Name of the results.

    Returns
    -------
    SCMOE
        The model that was used: `model` itself, or adapted to the new batches. The mapping score is that of `model`;
        NaN for a model with patch tokens, which has none. Removes earlier results under `key_added`, then writes what
        `scmoe.tl.embed` and, if the model has labels, `scmoe.tl.annotate` write; the routing, as `scmoe.tl.train` does;
        ``obs["{key_added}_mapping_score"]`` of `mdata` and of each modality (see
        `scmoe.model.SCMOE.get_mapping_score`); and ``mdata.uns[key_added]["query"]`` with ``"features"``, a frame with
        the columns ``modality``, ``n_found`` and ``n_model`` (features of the model that the query has, and all),
        ``"absent_modalities"``, ``"new_batches"``, and ``"hub_within"`` and ``"hub_outside"``: how often cells of the
        query are neighbors of each other and of training cells in the embedding, over chance (see
        `scmoe.metrics.hub_ratio`; not for models of earlier versions). A warning says where they are hubs.

    Raises
    ------
    KeyError, ValueError
        The data do not fit the model; `mdata` is as it was then.

    Examples
    --------
    >>> query = scmoe.datasets.bmmc_cite()[:50].copy()
    >>> scmoe.pp.prepare(query)
    >>> used = scmoe.tl.map_query(query, model)
    >>> query.obs[["scmoe_label", "scmoe_mapping_score"]].shape
    (50, 2)
    """
    check_mdata(mdata)
    keys = Keys(name=key_added)
    labels = keys.of_annotation() if model.setup.labels else []
    router = router_paths(mdata, key_added).values()
    paths = [*keys.of_embedding(mdata.mod), *labels, f"obs/{keys.mapping_score}", *router]
    check_results(mdata, key_added, [*paths, *result_paths(mdata, key_added)], inputs_of(model.setup, mdata))
    if adapt and model.setup.batch_key is not None:
        raw_column(mdata, model.setup.batch_key, "batch_key")  # raises where there is nothing to adapt to
    new_batches = batches_unknown_to(model.setup, mdata)
    adapting = adapt and bool(new_batches)
    results = model.get_results(mdata, annotation=not adapting)
    score = np.asarray(results.mapping_score)
    if adapting:
        model = model.adapt(mdata)
        results = model.get_results(mdata, mapping_score=False)
    routing = model.get_router_activations(mdata)
    hubs = query_hubs(model.readouts.reference, results.embedding, model.seed)
    drop_results(mdata, key_added, paths)
    write_embedding(mdata, results, key_added)
    if results.annotation is not None:
        detection = model.get_unknown_detection()
        write_annotation(mdata, results, model.setup.labels, detection, key_added=key_added)
    write_router(mdata, routing, key_added)
    write_obs(mdata, key_added, {keys.mapping_score: score})
    write_uns(mdata, key_added, **{QUERY: describe_query(model.setup, results, new_batches, hubs)})
    if new_batches:
        logger.info("query: batches that the model does not know: %s", ", ".join(new_batches))
    logger.info(
        "query: %d cells, median mapping score %.2f, %.0f %% of the cells below %.2f",
        len(score),
        np.median(score),
        100 * (score < LOW_SCORE).mean(),
        LOW_SCORE,
    )
    if said := query_verdict(hubs, len(score)):
        logger.warning("query: %s", said)
    return model


def describe_query(setup: Setup, results: "Results", new_batches: list[str], hubs: HubRatio) -> dict[str, Any]:
    """What of a model a query has, which of its batches the model does not know, and whether its cells are hubs."""
    features = pd.DataFrame(
        [(name, n, len(setup.feature_names[name])) for name, n in results.n_features.items()],
        columns=["modality", "n_found", "n_model"],
    )
    return {
        "features": features,
        "absent_modalities": [name for name in setup.modalities if name not in results.n_features],
        NEW_BATCHES: new_batches,
        **{f"hub_{side}": value for side, value in hubs._asdict().items() if np.isfinite(value)},
    }
