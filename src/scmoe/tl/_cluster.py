"""`cluster`: write clusters."""

from typing import TYPE_CHECKING, Literal

from mudata import MuData

from scmoe._keys import DEFAULT_KEY, Keys
from scmoe.arguments._checked import checks_arguments
from scmoe.datasets._anndata import takes_anndata
from scmoe.model.graph._clusters import kmeans, leiden, numbered_by_size
from scmoe.tl._results import check_results, inputs_of
from scmoe.tl._stored import stored_embedding
from scmoe.tl._write import write_obs

if TYPE_CHECKING:
    from scmoe.model._scmoe import SCMOE


@checks_arguments
@takes_anndata
def cluster(
    mdata: MuData,
    model: "SCMOE | None" = None,
    *,
    method: Literal["leiden", "kmeans", "ddc"] | None = None,
    n_clusters: int | None = None,
    resolution: float = 1.0,
    seed: int = 0,
    key_added: str = DEFAULT_KEY,
) -> None:
    """Cluster the cells.

    Parameters
    ----------
    mdata
        Data with an embedding (see `scmoe.tl.embed`).
    model
        A trained model; only ``method="ddc"`` needs it.
    method
        ``"leiden"``: Leiden on the 15-nearest-neighbor graph of the embedding; of more than 200,000 cells, so many at
        random are clustered, and the others get the cluster of most of their 15 nearest; ``"kmeans"``: k-means on it;
        ``"ddc"``: the model's clustering head. None: k-means if `n_clusters` is given, else Leiden.
    n_clusters
        Number of clusters, exactly; for ``"kmeans"`` only (that of the head is fixed in training).
    resolution
        Of Leiden.
    seed
        Of Leiden and k-means.
    key_added
        Name of the results.

    Returns
    -------
    None
        Writes ``obs["{key_added}_cluster"]`` of `mdata` and of each modality, a categorical; clusters are numbered by
        size, largest first.

    Raises
    ------
    KeyError
        There is no embedding.
    ValueError
        Arguments that contradict each other, an embedding with numbers that are not finite, or fewer different cells
        than clusters.

    Examples
    --------
    >>> scmoe.tl.cluster(mdata, model, method="kmeans", n_clusters=5)
    >>> mdata.obs["scmoe_cluster"].nunique()
    5
    """
    method = method or ("leiden" if n_clusters is None else "kmeans")
    if (method == "kmeans") != (n_clusters is not None):
        raise ValueError(f"n_clusters goes with method='kmeans' and only with it; found {n_clusters} and {method!r}.")
    inputs = {} if model is None or method != "ddc" else inputs_of(model.setup, mdata)
    check_results(mdata, key_added, [f"obs/{Keys(name=key_added).cluster}"], inputs)
    if method == "ddc":
        if model is None:
            raise ValueError("method='ddc' needs the model: scmoe.tl.cluster(mdata, model, method='ddc').")
        labels = model.predict_clusters(mdata)
    else:
        embedding = stored_embedding(mdata, key_added)
        labels = leiden(embedding, resolution, seed) if method == "leiden" else kmeans(embedding, n_clusters, seed)
    write_obs(mdata, key_added, {Keys(name=key_added).cluster: numbered_by_size(labels)})
