"""`XTRIMOGENE`: the model class for masked-gene pretraining."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from anndata import AnnData

from scmoe.arguments._checked import checks_arguments
from scmoe.arguments._keywords import Place, parameters
from scmoe.data.genes._manager import GeneField, GeneManager, GeneSetup, gene_setup_table
from scmoe.model._folder import SETTINGS, check_finite, read_folder
from scmoe.model._save import (
    damage_explained,
    mismatch_explained,
    read_record,
    registry,
    taken,
    write_folder,
)
from scmoe.model._settings import fields_of
from scmoe.model.genes._encoding import GeneModel
from scmoe.model.genes._fine_tuning import classifier_of, fine_tune, predict
from scmoe.model.genes._inference import get_gene_context, get_gene_embeddings, get_latent_representation, impute
from scmoe.model.genes._pretraining import train
from scmoe.model.genes._start import check_embeddings
from scmoe.model.genes.published._network import check_fit, read_encoder
from scmoe.model.hub._hub import from_hub, push_to_hub
from scmoe.nn._config import from_keywords
from scmoe.nn.genes._config import GeneConfig, gene_config
from scmoe.nn.published._form import Kind
from scmoe.nn.published._make import make_network
from scmoe.readout._axes import Axes
from scmoe.tokens._counts import Values, check_anndata
from scmoe.tokens._make import make_tokenizer, tokenizer_from_state
from scmoe.tokens._vocabulary import MIN_SHARE, Vocabulary, chosen_vocabulary
from scmoe.train._pretrain import PretrainConfig

AXES, TOKENIZER, CLASSIFIER = "axes/", "tokenizer/", "classifier/"
"""Before the names of weights that are not the network's."""


def _elsewhere() -> Iterator[Place]:
    """Where settings belong that are not the network's."""
    yield Place(["preset", "gene_embeddings", "seed"], "{}")
    yield Place(parameters(XTRIMOGENE.setup_anndata), "{}=... to XTRIMOGENE.setup_anndata")
    yield Place(parameters(train), "{}=... to model.train")
    yield Place(fields_of(PretrainConfig), "plan_kwargs={{'{}': ...}} to model.train")


class XTRIMOGENE(GeneModel):
    """Asymmetric transformer for masked-gene pretraining on single-cell RNA counts.

    An encoder reads the genes that a cell expresses, a thin decoder with linear attention predicts the masked ones
    among all genes. After Gong et al. 2023 (xTrimoGene) and Hao et al. 2024 (scFoundation); the user guide says what
    differs, and why.

    Parameters
    ----------
    adata
        An AnnData set up with `setup_anndata`.
    registry
        In place of data: the registry of a saved model. Used by `load`.
    preset
        Size by name, ``"tiny"``, ``"3m"``, ``"10m"`` or ``"100m"``; keywords override it.
    gene_embeddings
        Vectors to start the genes' identities from, one row a gene of the vocabulary in its order
        (`scmoe.model.read_published` reads them), or a frame whose index names the genes; NaN rows are genes without.
        They are reduced to the encoder's width by principal components if they are wider. None: the training cells'
        principal components.
    seed
        Of the initial weights and of the training; on a CPU the same seed gives the same model bit by bit.
    **network_kwargs
        Fields of `scmoe.model.GeneConfig`.

    Raises
    ------
    TypeError
        A keyword that `scmoe.model.GeneConfig` does not have.
    ValueError
        Settings that contradict each other, or embeddings that do not fit the vocabulary.

    Examples
    --------
    >>> import scmoe
    >>> adata = scmoe.datasets.bmmc_cite()["rna"][:100].copy()
    >>> scmoe.model.XTRIMOGENE.setup_anndata(adata)
    >>> model = scmoe.model.XTRIMOGENE(adata, preset="tiny")
    >>> model.train(max_epochs=1)
    >>> adata.obsm["X_xtrimogene"] = model.get_latent_representation()
    """

    setup_call = "XTRIMOGENE.setup_anndata(adata)"
    _setup_table = staticmethod(gene_setup_table)

    @checks_arguments
    def __init__(
        self,
        adata: AnnData | None = None,
        registry: dict | None = None,
        *,
        preset: str = "tiny",
        gene_embeddings: np.ndarray | pd.DataFrame | None = None,
        seed: int = 0,
        **network_kwargs: Any,
    ) -> None:
        self.config = gene_config(preset, network_kwargs, *_elsewhere())
        seed = int(seed)
        super().__init__(adata, registry)
        state = self.registry["field_registries"][GeneField.registry_key]["state_registry"]
        self.setup, self.seed = GeneSetup(**state), seed
        self.tokenizer = make_tokenizer(self.config.tokenizer, **self.config.token_settings)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.module = make_network(len(self.setup.names), self.tokenizer.n_codes, self.config)
        self.module.eval()
        self.axes = {}
        self.classifier, self.labels = None, []
        self.gene_embeddings = check_embeddings(gene_embeddings, self.setup.names)

    train = train
    fine_tune = fine_tune
    predict = predict
    push_to_hub = push_to_hub
    from_hub = from_hub
    get_latent_representation = get_latent_representation
    get_gene_embeddings = get_gene_embeddings
    get_gene_context = get_gene_context
    impute = impute

    @classmethod
    @checks_arguments
    def setup_anndata(
        cls,
        adata: AnnData,
        *,
        layer: str | None = None,
        values: Values = "counts",
        vocabulary: Vocabulary | None = None,
        column: str | None = None,
        min_share: float = MIN_SHARE,
    ) -> None:
        """Tell scmoe where the counts are, and which genes to know.

        Writes scvi-tools' identifiers to ``adata.uns["_scvi_uuid"]`` and ``adata.uns["_scvi_manager_uuid"]``, and
        nothing else. How the genes fit the vocabulary is reported in the log.

        Parameters
        ----------
        adata
            Cells x genes.
        layer
            Where the counts are; ``adata.X`` by default.
        values
            ``"counts"``, ``"ambient"`` (fractional counts) or ``"lognormalized"``; see `scmoe.tokens.read_counts`.
        vocabulary
            The genes to know; None: those of the data. Genes that it has and the data lack are unknown to the model
            (not zero), and not learned.
        column
            Column of ``adata.var`` with the names to match; `var_names` by default. Genes without a name there are
            left out.
        min_share
            Least share of the genes that must be matched; see `scmoe.tokens.Vocabulary.match`.

        Raises
        ------
        TypeError
            Not an AnnData, or a vocabulary that is none.
        KeyError
            A layer or column that does not exist.
        ValueError
            Values that are not what `values` says, or genes that do not fit the vocabulary.
        """
        check_anndata(adata)
        if adata.is_view:
            raise ValueError("adata is a view of another AnnData. Call adata = adata.copy() first.")
        vocabulary = chosen_vocabulary(vocabulary, adata, column)
        arguments = {"layer": layer, "values": values, "column": column, "min_share": min_share}
        setup = GeneSetup(**arguments, **vars(vocabulary))  # type: ignore[arg-type]
        setup.read(adata)  # raises if the data do not fit
        setup = setup.of(adata)
        manager = GeneManager([GeneField(setup)], cls._get_setup_method_args(cls=cls, adata=adata, **arguments))
        manager.register_fields(adata)
        cls.register_manager(manager)

    @classmethod
    @checks_arguments
    def from_published(
        cls,
        path: str | os.PathLike[str],
        kind: Kind,
        *,
        genes: str | os.PathLike[str] | Sequence[str] | None = None,
        medians: str | os.PathLike[str] | None = None,
        layer: str | None = None,
        values: Values = "counts",
        column: str | None = None,
        min_share: float = MIN_SHARE,
        seed: int = 0,
    ) -> "XTRIMOGENE":
        """Make a model whose encoder is that of a published one, with its weights, tokens and genes.

        It can be used at once: `get_latent_representation` gives the vectors of cells that the authors take
        (zero-shot), `fine_tune` learns labels on the frozen encoder (``trainable="head"``) or with it, and a folder
        that `save` writes is what ``SCMOE(tokenizer="genes", pretrained=folder)`` takes. There is no decoder, so that
        `train`, `impute` and `get_gene_context` are refused.

        Nothing is downloaded, and nothing in the files is run; see `scmoe.model.read_published`.

        Parameters
        ----------
        path, kind, genes
            The files, as in `scmoe.model.read_published`. Settings are read from ``args.json`` (scGPT) or
            ``config.json`` (Geneformer) beside the weights, if they are there; else heads have the width 64, as in all
            published sizes. Of scFoundation's file the part "cell" is read.
        medians
            Geneformer, required: JSON file from its genes to their medians.
        layer, values, column, min_share
            Where cells have their counts, and the names of their genes, as in `setup_anndata`. Geneformer knows genes
            by Ensembl identifiers: ``column="gene_ids"``.
        seed
            Of trainings.

        Returns
        -------
        XTRIMOGENE
            Without data: pass the AnnData to each method.

        Raises
        ------
        FileNotFoundError
            A file is missing.
        ValueError
            The files are of another model or size, damaged, or of a kind that could run code; or medians are missing.

        Examples
        --------
        >>> model = scmoe.model.XTRIMOGENE.from_published("scgpt_human", "scgpt")  # doctest: +SKIP
        >>> adata.obsm["X_scgpt"] = model.get_latent_representation(adata)  # doctest: +SKIP
        >>> tuned = model.fine_tune("cell_type", adata, training_cells, trainable="head")  # doctest: +SKIP
        """
        encoding = read_encoder(path, kind, genes, medians)
        setup = GeneSetup(layer=layer, values=values, column=column, min_share=min_share, names=encoding.genes)
        description = registry(cls.__name__, "setup_anndata", GeneField.registry_key, setup.to_dict())
        model = cls(registry=description, seed=seed, **vars(encoding.config))
        check_fit(model.module, encoding.state, encoding.config)
        model.module.load_state_dict(encoding.state)
        model.tokenizer, model.is_trained_ = encoding.tokenizer, True
        model.record = replace(model.record, history=pd.DataFrame(index=pd.Index([], name="epoch")))
        return model

    @checks_arguments
    def save(self, dir_path: str | Path, *, overwrite: bool = False) -> None:
        """Write the model to a folder: ``weights.safetensors`` and ``settings.json``, all or nothing.

        The settings hold configuration, genes, seed, history, labels, the split and the versions in use; the
        tokenizer's arrays are among the weights. Neither file can run code when it is loaded. Of several processes that
        train together, only the first one writes.

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
        """
        tokenizer = self.tokenizer.to_state()
        arrays = {key: torch.from_numpy(value) for key, value in tokenizer.items() if isinstance(value, np.ndarray)}
        tensors = {TOKENIZER + key: value for key, value in arrays.items()}
        for pooling, axes in self.axes.items():
            tensors |= {f"{AXES}{pooling}/{key}": torch.from_numpy(value) for key, value in axes._asdict().items()}
        if self.classifier is not None:
            own = {key: value for key, value in self.classifier.state_dict().items() if not key.startswith("network.")}
            tensors |= {CLASSIFIER + key: value.detach().cpu() for key, value in own.items()}
        settings = {
            "setup": self.setup.to_dict(),
            "tokenizer": {key: value for key, value in tokenizer.items() if key not in arrays},
            "labels": self.labels,
            "class_balance": self.class_balance_,
        }
        write_folder(self, Path(dir_path), tensors, settings, overwrite=overwrite)

    @classmethod
    @checks_arguments
    def load(cls, dir_path: str | Path, adata: AnnData | None = None) -> "XTRIMOGENE":
        """Read a model that `save` wrote.

        Parameters
        ----------
        dir_path
            The folder.
        adata
            Data to attach: the training data, a query, or data to train on further. Without it, pass data to each
            method.

        Returns
        -------
        XTRIMOGENE
            On the CPU; ``model.to_device("cuda")`` moves it.

        Raises
        ------
        ValueError
            The folder is not a whole model, or `adata` does not fit it.
        """
        path = Path(dir_path).expanduser()
        settings, state = read_folder(cls, path)
        with damage_explained(path / SETTINGS):
            description = registry(cls.__name__, "setup_anndata", GeneField.registry_key, settings["setup"])
            seed, config = settings["seed"], settings["config"]
            GeneSetup(**settings["setup"])
            from_keywords(GeneConfig, config)
        # Outside: an error of a library's API is no damaged file.
        model = cls(registry=description, seed=seed, **config)
        with damage_explained(path / SETTINGS):
            model.record, model.is_trained_ = read_record(settings, {}), True
            model.labels = settings["labels"]
        with mismatch_explained(path):
            axes: dict[str, dict[str, np.ndarray]] = {}
            arrays = {key: value.numpy() for key, value in taken(state, TOKENIZER).items()}
            model.tokenizer = tokenizer_from_state(settings["tokenizer"] | arrays)
            for key, value in taken(state, AXES).items():
                pooling, name = key.split("/")
                axes.setdefault(pooling, {})[name] = value.numpy()
            model.axes = {pooling: Axes(**parts) for pooling, parts in axes.items()}
            classifier = taken(state, CLASSIFIER)
            model.module.load_state_dict(state)
            if model.labels:
                model.classifier = classifier_of(model.module, len(model.labels), model.class_balance_).eval()
                model.classifier.load_state_dict(classifier | {f"network.{key}": x for key, x in state.items()})
        check_finite(path, state | classifier)
        if adata is not None:
            model.setup.read(adata)  # raises if the data do not fit
            model._adata = adata
        return model

    def __repr__(self) -> str:
        c, state = self.config, f"trained for {len(self.history_)} epochs" if self.is_trained_ else "not trained"
        size = sum(p.numel() for p in self.module.parameters())
        encoder = f"  encoder: {c.encoder_layers} layer(s), width {c.encoder_width}"
        if c.form is None:
            name = "masked-gene transformer"
            encoder += f", {c.n_experts} expert(s); decoder: {c.decoder_layers} layer(s), width {c.decoder_width}"
        else:
            name, state = f"the encoder of {c.form.kind}", "as published" if self.history_.empty else state
        lines = [
            f"XTRIMOGENE: {name}, {state}",
            f"  genes: {len(self.genes)}, read as {self.setup.values}, {c.tokenizer} tokens",
            f"{encoder}; {size / 1e6:.1f} M parameters",
            f"  labels: {len(self.labels) or 'none'}; seed: {self.seed}",
        ]
        return "\n".join(lines)
