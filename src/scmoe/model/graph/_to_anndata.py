"""`to_anndata`: one AnnData with everything a user of scanpy needs."""

import pandas as pd
from anndata import AnnData
from mudata import MuData

from scmoe._check import check_mdata, choose_modalities
from scmoe._keys import BEFORE, DEFAULT_KEY, UMAP, Keys, column_names
from scmoe.arguments._checked import checks_arguments
from scmoe.datasets._anndata import as_mudata, modality_of
from scmoe.datasets._anndata import to_anndata as as_stored
from scmoe.io._mapped import folder_of
from scmoe.model._fitted import FittedModel
from scmoe.model._impute import impute
from scmoe.model._results import Results, get_results
from scmoe.model.graph._clusters import leiden, numbered_by_size
from scmoe.model.graph._layout import layout
from scmoe.model.graph._neighbors import N_NEIGHBORS, neighbor_graph


@checks_arguments
def to_anndata(
    self: FittedModel,
    adata: MuData | AnnData | None = None,
    *,
    modality: str | None = None,
    predict: bool = False,
    seed: int = 0,
    key_added: str = DEFAULT_KEY,
) -> AnnData:
    """One AnnData with everything a user of scanpy needs; nothing is written to the data.

    What tools have written under `key_added` is taken as it is, and what is not there is computed.

    Parameters
    ----------
    adata
        Training data or a query; None: the data of the model.
    modality
        The modality whose values and cells are taken; None: the model's first one that the data have.
    predict
        Whether to add the other modalities as the model predicts them from this one, where these predictions are not
        stored.
    seed
        Of clusters and map.
    key_added
        Name of the results.

    Returns
    -------
    AnnData
        A copy of the modality (matrices that stay on disk are shared), with

        - ``obs``: all columns of the cells, ``"{key_added}_cluster"``, and of a model with labels
          ``"{key_added}_label"`` and ``"{key_added}_label_confidence"``;
        - ``obsm``: ``"X_{key_added}"``, the embedding; ``"X_umap"``, its map (another one is kept as
          ``"X_umap_before"``); of a model with labels ``"{key_added}_label_probability"``; predictions
          ``"{key_added}_{target}_from_{source}"``, tables of cells x features;
        - ``obsp["connectivities"]``, ``obsp["distances"]`` and ``uns["neighbors"]``: the 15 nearest neighbors in the
          embedding, as scanpy stores them;
        - ``uns["{key_added}_markers"]``, where `scmoe.tl.markers` was run, for scanpy's plots.

    Raises
    ------
    KeyError
        There is no such modality.
    ValueError
        The data do not fit the model, or the modality has fewer than four cells.

    Examples
    --------
    >>> import scanpy as sc
    >>> adata = model.to_anndata()
    >>> axes = sc.pl.umap(adata, color=["scmoe_cluster", "CD74"], show=False)
    >>> sc.get.obs_df(adata, ["scmoe_cluster", "CD74"]).shape
    (600, 2)
    """
    data = self.adata if adata is None else adata
    if data is None:
        raise ValueError("The model has no data attached. Pass some: model.to_anndata(mdata).")
    name = modality_of(data, self) if isinstance(data, AnnData) else None
    mdata = as_mudata(data, self)
    check_mdata(mdata)
    name = modality or name or next(each for each in self.modalities if each in mdata.mod)
    choose_modalities(mdata, name)
    keys, out = Keys(name=key_added), as_stored(mdata, name)
    if folder_of(out.X) is None:
        out = out.copy()
    rows = mdata.obs_names.get_indexer(out.obs_names)
    wants_labels = bool(self.setup.labels) and keys.label not in out.obs
    if keys.embedding not in out.obsm or wants_labels:
        results = get_results(self, mdata, rows, mapping_score=False, annotation=wants_labels)
        _add_results(out, results, self.setup.labels, keys)
    embedding = out.obsm[keys.embedding]
    if keys.cluster not in out.obs:
        out.obs[keys.cluster] = numbered_by_size(leiden(embedding, 1.0, seed))
    if keys.umap not in out.obsm:
        if UMAP in out.obsm:
            out.obsm[UMAP + BEFORE] = out.obsm[UMAP]
        out.obsm[keys.umap] = out.obsm[UMAP] = layout(embedding, seed)
    _add_neighbors(out, keys, seed)
    for target in self.modalities if predict else ():
        key = keys.imputed(target, [name])
        if target != name and key not in out.obsm:
            keys.check_imputed(target, [name], self.modalities)
            values = impute(self, name, target, mdata, rows)
            out.obsm[key] = pd.DataFrame(values, out.obs_names, column_names(self.feature_names[target]))
    return out


def _add_results(out: AnnData, results: Results, labels: list[str], keys: Keys) -> None:
    """Embedding and labels, where they are not there."""
    if keys.embedding not in out.obsm:
        out.obsm[keys.embedding] = results.embedding
    if results.annotation is not None and keys.label not in out.obs:
        probability = results.annotation.probability
        out.obs[keys.label] = pd.Categorical.from_codes(probability.argmax(1), labels)
        out.obs[keys.label_confidence] = probability.max(1)
        out.obsm[keys.label_probability] = pd.DataFrame(probability, out.obs_names, column_names(labels))


def _add_neighbors(out: AnnData, keys: Keys, seed: int) -> None:
    """The graph of the embedding where scanpy looks for one."""
    points = neighbor_graph(out.obsm[keys.embedding], seed)
    for name, graph in points.obsp.items():
        out.obsp[name] = graph
    (record,) = points.uns.values()
    n_neighbors = min(N_NEIGHBORS, out.n_obs - 1)
    out.uns["neighbors"] = {
        **record,
        "params": {**record["params"], "n_neighbors": n_neighbors, "use_rep": keys.embedding},
    }
