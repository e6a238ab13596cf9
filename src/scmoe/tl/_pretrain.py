"""`pretrain`: setup, masked-gene pretraining and results in one call."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from anndata import AnnData

from scmoe._check import check_free, check_tables
from scmoe._keys import HISTORY, PARAMS, PRETRAIN_KEY, Keys
from scmoe.arguments._checked import checks_arguments
from scmoe.io._storable import warn_of_unstorable
from scmoe.tl._tables import uns_kept_on_error
from scmoe.tl._write import write_uns

if TYPE_CHECKING:
    from scmoe.model.genes._xtrimogene import XTRIMOGENE
    from scmoe.tokens._counts import Values
    from scmoe.tokens._vocabulary import Vocabulary


@checks_arguments
def pretrain(
    adata: AnnData,
    *,
    layer: str | None = None,
    values: "Values" = "counts",
    vocabulary: "Vocabulary | None" = None,
    column: str | None = None,
    preset: str = "tiny",
    max_epochs: int | None = None,
    split_key: str | None = None,
    seed: int = 0,
    key_added: str = PRETRAIN_KEY,
    train_kwargs: Mapping[str, Any] | None = None,
    **model_kwargs: Any,
) -> "XTRIMOGENE":
    """Pretrain a gene model on raw counts and write what it found.

    Parameters
    ----------
    adata
        Cells x genes; of a MuData, one modality: ``mdata["rna"]``.
    layer, values, vocabulary, column
        See `scmoe.model.XTRIMOGENE.setup_anndata`.
    preset
        Size of the network; see `scmoe.model.XTRIMOGENE`.
    max_epochs
        Passes over the training cells; None: as many as make about 600 steps.
    split_key
        Column of ``adata.obs`` with the training, validation and test cells, such as `scmoe.pp.split` writes; None: a
        random tenth of the cells is for validation. See `scmoe.model.XTRIMOGENE.train`.
    seed
        Of everything random.
    key_added
        Name of the results.
    train_kwargs
        More arguments of `scmoe.model.XTRIMOGENE.train`.
    **model_kwargs
        Fields of `scmoe.model.GeneConfig`.

    Returns
    -------
    XTRIMOGENE
        The trained model. Writes ``adata.obsm["X_{key_added}"]``, the embedding (cells x width, see
        `scmoe.model.XTRIMOGENE.get_latent_representation`); ``adata.varm[key_added]``, the identities of the genes
        (genes x width; NaN for genes that the vocabulary does not know); and to ``adata.uns[key_added]``
        ``"history"`` (losses by epoch) and ``"params"`` (settings, seed, versions, seconds, how the genes fit the
        vocabulary).

    Raises
    ------
    KeyError, ValueError
        Data or settings that cannot be used; `adata` is as it was then.

    Examples
    --------
    >>> adata = scmoe.datasets.bmmc_cite()["rna"][:100].copy()
    >>> gene_model = scmoe.tl.pretrain(adata, preset="tiny", max_epochs=1)
    >>> adata.obsm["X_xtrimogene"].shape[0]
    100
    """
    from scmoe.model._save import versions
    from scmoe.model._settings import check_settings
    from scmoe.model.genes._xtrimogene import XTRIMOGENE
    from scmoe.nn.genes._config import GeneConfig
    from scmoe.train._pretrain import PretrainConfig

    check_settings(pretrain, model_kwargs, train_kwargs or {}, XTRIMOGENE, GeneConfig, PretrainConfig)
    keys = Keys(name=key_added)
    if isinstance(adata, AnnData):  # anything else is refused at setup
        check_tables(adata)
        warn_of_unstorable(adata)
    with uns_kept_on_error(adata):
        XTRIMOGENE.setup_anndata(adata, layer=layer, values=values, vocabulary=vocabulary, column=column)
        check_free(adata, key_added)
        model = XTRIMOGENE(adata, preset=preset, seed=seed, **model_kwargs)
        model.train(max_epochs, split_key=split_key, **(train_kwargs or {}))
    adata.obsm[keys.embedding] = model.get_latent_representation()
    match = model.setup.read(adata).match
    identities = model.get_gene_embeddings().to_numpy()[match.position]
    identities[match.position < 0] = float("nan")
    adata.varm[key_added] = identities
    report = {name: value for name, value in match.report().items() if isinstance(value, (int, float))}
    params = {
        "network": asdict(model.config),
        "train": dict(train_kwargs or {}),
        "split_key": split_key,
        "seed": seed,
        "seconds": model.train_seconds_,
        "versions": versions(),
        "genes": report,
    }
    write_uns(adata, key_added, **{HISTORY: model.history.reset_index(), PARAMS: params})
    return model
