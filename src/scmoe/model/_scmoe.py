"""`SCMOE`: the model class."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from anndata import AnnData
from mudata import MuData

from scmoe._check import check_mdata
from scmoe._keys import HIGHLY_VARIABLE, UNKNOWN_LABEL
from scmoe.arguments._checked import checks_arguments
from scmoe.arguments._keywords import Place, parameters
from scmoe.data._covariates import n_covariates
from scmoe.data._manager import MosaicManager, SetupField, setup_table
from scmoe.data._setup import Setup
from scmoe.datasets._anndata import as_mudata, writable
from scmoe.datasets._categories import Category, names_of
from scmoe.datasets._pairing import describe_pairing
from scmoe.model._adapt import adapt
from scmoe.model._embed import get_latent_representation
from scmoe.model._fitted import FittedModel
from scmoe.model._gene_pretrained import read_pretrained, take_over
from scmoe.model._gene_tokens import rna_positions
from scmoe.model._impute import get_normalized, impute, mixture_weight
from scmoe.model._labels import (
    get_annotation,
    get_unknown_detection,
    get_unknown_score,
    predict,
    predict_clusters,
)
from scmoe.model._mapping import get_mapping_score
from scmoe.model._results import get_results
from scmoe.model._save import load_model, registry_of, save_model
from scmoe.model._settings import fields_of
from scmoe.model._supervised import check_label_weight, predict_supervised
from scmoe.model._training import train
from scmoe.model.explain._ablation import get_ablation
from scmoe.model.explain._attribution import get_attributions, get_mean_attributions
from scmoe.model.explain._conflict import get_gradient_conflict
from scmoe.model.explain._deletion import get_deletion
from scmoe.model.explain._expert_ablation import get_expert_ablation
from scmoe.model.explain._layers import get_activations, get_directions, get_gradients, layers_of
from scmoe.model.explain._routing import get_attention, get_router_activations
from scmoe.model.explain._targets import feature_target, group_targets, label_target
from scmoe.model.graph._to_anndata import to_anndata
from scmoe.model.hub._hub import from_hub, push_to_hub
from scmoe.nn._config import NetworkConfig, from_keywords
from scmoe.nn._network import Network
from scmoe.readout._readouts import Readouts
from scmoe.train._config import TrainConfig


def _elsewhere() -> Iterator[Place]:
    """Where settings belong that are not the network's."""
    yield Place(["pretrained", "seed"], "{}")
    yield Place(parameters(SCMOE.setup_mudata), "{}=... to SCMOE.setup_mudata")
    yield Place(parameters(train), "{}=... to model.train")
    yield Place(fields_of(TrainConfig), "plan_kwargs={{'{}': ...}} to model.train")


class SCMOE(FittedModel):
    """Sparse mixture-of-experts transformer for multi-modal single-cell data.

    Learns a joint embedding of cells of which any may lack any modality, predicts modalities from one another, and
    clusters or labels cells. After the scMoE paper; the user guide says what differs, and why.

    Parameters
    ----------
    adata
        A MuData or AnnData set up with `setup_mudata`.
    registry
        In place of data: the registry of a saved model. Used by `load`.
    pretrained
        With ``tokenizer="genes"``: folder of a `scmoe.model.XTRIMOGENE` that was saved, its own or of a published model
        (`scmoe.model.XTRIMOGENE.from_published`), whose encoder is taken over, in its size. The log says how many genes
        it knows; the folder is not needed later. ``train_gene_encoder=False`` keeps it as it is.
    seed
        Seed of the initial weights and of the training; on a CPU the same seed gives the same model bit by bit.
    **network_kwargs
        Fields of `scmoe.model.NetworkConfig`.

    Raises
    ------
    TypeError
        A keyword that `scmoe.model.NetworkConfig` does not have.
    ValueError
        Settings that contradict each other, gene tokens without a modality of RNA, a weight of labels without labels,
        or a pretrained encoder that does not fit.

    Examples
    --------
    >>> import scmoe
    >>> mdata = scmoe.datasets.bmmc_cite()
    >>> scmoe.pp.prepare(mdata)
    >>> scmoe.model.SCMOE.setup_mudata(mdata, batch_key="batch")
    >>> model = scmoe.model.SCMOE(mdata)
    >>> model.train()
    >>> mdata.obsm["X_scmoe"] = model.get_latent_representation()
    """

    setup_call = "SCMOE.setup_mudata(mdata)"
    _setup_table = staticmethod(setup_table)

    @checks_arguments
    def __init__(
        self,
        adata: MuData | AnnData | None = None,
        registry: dict | None = None,
        *,
        pretrained: str | Path | None = None,
        seed: int = 0,
        **network_kwargs: Any,
    ) -> None:
        encoder = None if pretrained is None else read_pretrained(pretrained, network_kwargs)
        if encoder is not None:
            network_kwargs["gene_encoder"] = asdict(encoder.config)
        self.config = from_keywords(NetworkConfig, network_kwargs, *_elsewhere())
        seed = int(seed)
        super().__init__(as_mudata(adata), registry)
        state = self.registry["field_registries"][SetupField.registry_key]["state_registry"]
        self.setup, self.seed = Setup(**state), seed
        check_label_weight(self.config, self.setup)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.module = Network(
                [len(self.feature_names[name]) for name in self.modalities],
                [self.setup.likelihoods[name] for name in self.modalities],
                n_covariates(self.setup),
                self.config,
                rna_positions(self.setup) if self.config.tokenizer == "genes" else (),
                len(self.setup.labels),
            )
        if encoder is not None:
            take_over(self.module, self.setup, encoder)
        self.module.eval()
        self.readouts = Readouts()

    train = train
    get_latent_representation = get_latent_representation
    get_results = get_results
    predict = predict
    predict_supervised = predict_supervised
    get_annotation = get_annotation
    get_unknown_score = get_unknown_score
    get_unknown_detection = get_unknown_detection
    predict_clusters = predict_clusters
    get_mapping_score = get_mapping_score
    impute = impute
    get_normalized = get_normalized
    mixture_weight = mixture_weight
    get_router_activations = get_router_activations
    get_attention = get_attention
    get_ablation = get_ablation
    get_expert_ablation = get_expert_ablation
    get_gradient_conflict = get_gradient_conflict
    label_target = label_target
    group_targets = group_targets
    feature_target = feature_target
    get_activations = get_activations
    get_directions = get_directions
    get_gradients = get_gradients
    get_attributions = get_attributions
    get_mean_attributions = get_mean_attributions
    get_deletion = get_deletion
    push_to_hub = push_to_hub
    from_hub = from_hub
    to_anndata = to_anndata

    @property
    def diagnostics(self) -> dict[str, Any]:
        """Whether the training went well; empty before training. The user guide explains each entry.

        ``n_epochs``, and ``kept_epoch``, whose weights are kept; ``n_steps`` and, of these, ``n_skipped_steps``, whose
        loss or gradient was not finite; ``watched_loss`` (``"validation"``, or ``"training"`` without validation cells)
        and ``final_loss``, that of the kept weights;
        ``third_quarter_fall``, ``late_fall`` and ``rise``, shares of the loss's fall that came in the third and the
        last quarter of the epochs and that were lost again; ``dead_experts`` and ``expert_load_entropy`` of each block;
        ``posterior_drift``, how far the embedding moved in the last tenth of the epochs, relative to its spread;
        ``unpredicted``, predictions that are no better than the mean; ``hub_within`` and ``hub_outside``, how often
        validation cells are neighbors of each other and of training cells in the embedding, over chance (see
        `scmoe.metrics.hub_ratio`); ``verdict``, sentences on what to do, none if all is well.
        """
        return self.record.diagnostics

    @property
    def layers(self) -> list[str]:
        """Names of the layers, from the input on.

        ``"input"``: standardized features of all modalities; ``"tokens"``; of each block ``"block0.attended"``, the
        tokens after attention, which experts read, and ``"block0"``, its output; ``"states"``: states of the
        modalities, whose mean is the joint state. Labels, clusters and linear members of predictions read gene programs
        of the input as well, which only ``"input"`` sees.
        """
        return layers_of(self.config)

    @classmethod
    @checks_arguments
    def setup_mudata(
        cls,
        mdata: MuData | AnnData,
        *,
        modalities: Sequence[str] | None = None,
        layers: Mapping[str, str | None] | None = None,
        likelihoods: Mapping[str, str] | None = None,
        batch_key: str | None = None,
        categorical_covariate_keys: Sequence[str] = (),
        continuous_covariate_keys: Sequence[str] = (),
        labels_key: str | None = None,
        unlabeled_category: Category = UNKNOWN_LABEL,
        use_var: str | None = HIGHLY_VARIABLE,
    ) -> None:
        """Tell scmoe where the data are.

        Writes scvi-tools' identifiers to ``mdata.uns["_scvi_uuid"]`` and ``mdata.uns["_scvi_manager_uuid"]``, and
        nothing else.

        Parameters
        ----------
        mdata
            Multi-modal data; cells may lack modalities, and values may be NaN (except in counts). Or an AnnData, which
            is one modality.
        modalities
            Names of the modalities to use, in this order; None: all but those that `scmoe.pp.prepare` set aside.
        layers
            Layer with the values of a modality; ``X`` for those left out, or the raw counts in ``layers["counts"]``
            where the likelihood is one of counts.
        likelihoods
            Of each modality: ``"gaussian"`` (the default; for normalized values), ``"nb"``, ``"poisson"`` (raw counts)
            or ``"bernoulli"`` (whether a count is above zero).
        batch_key
            Column of ``mdata.obs`` with the batch. Its effect is taken out of the embedding, and the decoders know it.
            Whole numbers are the same batch as 1, 1.0 or ``"1"``. A query may lack the column: its batch is unknown.
        categorical_covariate_keys, continuous_covariate_keys
            Columns of ``mdata.obs`` with further categories, and with numbers, whose effects are treated alike.
        labels_key
            Column of ``mdata.obs`` with labels to learn. Cells without an entry have no label, and the log says how
            many they are.
        unlabeled_category
            What cells without a label are called. The log names labels that look like that (unassigned, n/a) and are
            not.
        use_var
            Boolean column of ``var`` with the features to read, of those modalities that have it; the others are read
            in full. None: all features are read. Features that `scmoe.pp.prepare` set aside never are.

        Raises
        ------
        TypeError
            Neither a MuData nor an AnnData.
        KeyError
            A modality, layer or column that does not exist.
        ValueError
            Data that cannot be modeled; the message names modality, cell and feature, and the remedy.

        Examples
        --------
        >>> scmoe.model.SCMOE.setup_mudata(mdata, batch_key="batch", labels_key="lineage")
        """
        arguments = {
            "modalities": modalities,
            "layers": layers,
            "likelihoods": likelihoods,
            "batch_key": batch_key,
            "categorical_covariate_keys": categorical_covariate_keys,
            "continuous_covariate_keys": continuous_covariate_keys,
            "labels_key": labels_key,
            "unlabeled_category": names_of(unlabeled_category)[0],
            "use_var": use_var,
        }
        with writable(mdata) as data:
            describe_pairing(data, check_mdata(data, modalities))
            if data.is_view:
                raise ValueError("mdata is a view of another MuData. Call mdata = mdata.copy() first.")
            manager = MosaicManager(
                [SetupField(arguments)], cls._get_setup_method_args(cls=cls, mdata=data, **arguments)
            )
            manager.register_fields(data)
            cls.register_manager(manager)

    @classmethod
    @checks_arguments
    def setup_anndata(cls, adata: AnnData, **kwargs: Any) -> None:
        """Tell scmoe where the data are, as `setup_mudata`, which takes an AnnData too.

        Parameters
        ----------
        adata
            Data of one modality, named by the type of its features (``var["feature_types"]``), or ``"rna"``.
        **kwargs
            As in `setup_mudata`.
        """
        cls.setup_mudata(adata, **kwargs)

    @checks_arguments
    def adapt(self, mdata: MuData | AnnData) -> "SCMOE":
        """A copy of the model that knows the batches of a query, so that their effects are taken out of the embedding.

        In closed form: the kinds of cells that the model knows stay where they are, and the query's cells of each kind
        are shifted to them. Nothing is trained; cells of the model's own batches are embedded as before. Cells of a
        kind that the model does not know are shifted with the nearest kind it knows: look at their mapping score before
        adapting.

        Parameters
        ----------
        mdata
            The query; at least 20 cells of each new batch.

        Returns
        -------
        SCMOE
            With the query's batches behind its own, and attached to no data.

        Raises
        ------
        ValueError
            The model was trained without a `batch_key`, the query has no new batch, or too few cells of one.
        """
        fitted = adapt(self.fitted, as_mudata(mdata, self))
        model = type(self)(registry=registry_of(fitted.setup), seed=self.seed, **asdict(self.config))
        model.module, model.readouts = fitted.network, fitted.readouts
        model.record, model.is_trained_, model._said = self.record, True, self._said
        return model

    @checks_arguments
    def save(self, dir_path: str | Path, *, overwrite: bool = False) -> None:
        """Write the model to a folder: ``weights.safetensors`` and ``settings.json``, all or nothing.

        The settings hold configuration, modalities, feature names, categories, seed, history, diagnostics, the split
        and the versions in use; scaling and programs are among the weights. Neither file can run code when it is
        loaded. Of several processes that train together, only the first one writes.

        Parameters
        ----------
        dir_path
            The folder.
        overwrite
            Whether to replace a model that is there.

        Raises
        ------
        scmoe.io._files.WriteError
            (an `OSError` and `ValueError`) The folder exists, or cannot be written.

        Examples
        --------
        >>> model.save("model")
        >>> same = scmoe.model.SCMOE.load("model")
        """
        save_model(self, Path(dir_path), overwrite=overwrite)

    @classmethod
    @checks_arguments
    def load(cls, dir_path: str | Path, adata: MuData | AnnData | None = None) -> "SCMOE":
        """Read a model that `save` wrote.

        Parameters
        ----------
        dir_path
            The folder.
        adata
            Data to attach: the training data or a query. Without it, pass data to each method.

        Returns
        -------
        SCMOE
            On the CPU; ``model.to_device("cuda")`` moves it.

        Raises
        ------
        ValueError
            The folder is not a whole model, or `adata` does not fit it.

        Examples
        --------
        >>> model.save("model")
        >>> same = scmoe.model.SCMOE.load("model")
        """
        return load_model(cls, Path(dir_path), adata)

    def __repr__(self) -> str:
        setup = self.setup
        sizes = ", ".join(f"{m} ({len(self.feature_names[m])}, {setup.likelihoods[m]})" for m in self.modalities)
        state = f"trained for {len(self.history_)} epochs" if self.is_trained_ else "not trained"
        c = self.config
        lines = [
            f"SCMOE: sparse mixture-of-experts transformer, {state}",
            f"  modalities: {sizes}",
            f"  network: {c.n_layers} block(s), {c.n_tokens} {c.tokenizer} tokens per modality, width {c.n_hidden}, "
            f"{c.n_experts} experts (top {c.top_k}, {c.router} router)",
            f"  batches: {len(setup.batches) if setup.batch_key else 'none'}; "
            f"labels: {len(setup.labels) or 'none'}; clusters: {c.n_clusters or 'none'}; seed: {self.seed}",
        ]
        return "\n".join(lines)
