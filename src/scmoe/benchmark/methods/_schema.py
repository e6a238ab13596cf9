"""Schema (`schema-learn`; Singh et al. 2021): a modality stretched so that its distances agree with others."""

from importlib import import_module

import numpy as np
from mudata import MuData
from numpy.typing import NDArray

from scmoe.benchmark._baselines import pca_embedding
from scmoe.benchmark._cells import stack
from scmoe.benchmark._inputs import Run, mosaic_pair
from scmoe.benchmark._outputs import Embedding, QueryMapping
from scmoe.benchmark.methods._method import Method, needs_complete_cells, needs_two_modalities
from scmoe.data._setup import prepared_kinds

N_COMPONENTS = 50
LIBRARY = "schema.schema_qp"
"""Another package has the name `schema` too."""


def schema(mdata: MuData, n_fitted: int, seed: int, primary: str) -> NDArray[np.float64]:
    """Components of one modality, stretched for the others.

    Parameters
    ----------
    mdata
        Cells that have all modalities.
    n_fitted
        All is fitted on as many cells, the first ones; of the others, the primary modality alone is looked at.
    seed
        Of the components.
    primary
        The modality whose components are stretched. Its distances keep a correlation of 0.99 with the old ones,
        the default.
    """
    train = np.arange(n_fitted)
    points = {
        name: pca_embedding(mdata, train, N_COMPONENTS, modalities=[name], seed=seed).astype(np.float64)
        for name in mdata.mod
    }
    values = points.pop(primary)
    model = import_module(LIBRARY).SchemaQP(mode="scale")
    model.fit(values[train], [part[train] for part in points.values()], ["feature_vector"] * len(points))
    return np.asarray(model.transform(values))


def primary_modality(mdata: MuData) -> str:
    """RNA where there is RNA, else the first modality."""
    return mosaic_pair(prepared_kinds(mdata, list(mdata.mod)))[0]


def embed(mdata: MuData, seed: int) -> Embedding:
    """All cells, which the method is fitted on."""
    return Embedding(points=schema(mdata, mdata.n_obs, seed, primary_modality(mdata)))


def map_query(reference: MuData, query: MuData, run: Run) -> QueryMapping:
    """Cells that the method is fitted on, and new ones by their primary modality."""
    points = schema(stack(reference, query), reference.n_obs, run.seed, primary_modality(reference))
    return QueryMapping(reference=points[: reference.n_obs], query=points[reference.n_obs :])


METHOD = Method(
    name="schema",
    embed=lambda mdata, run: embed(mdata, run.seed),
    map_query=map_query,
    unsuited=lambda run, facts: needs_complete_cells(facts) or needs_two_modalities(facts),
    libraries=(LIBRARY,),
)
