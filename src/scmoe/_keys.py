"""Every key that scmoe reads from or writes to a MuData, in one place.

Results are written under ``key_added`` (default ``"scmoe"``), so two models can keep their results side by side.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

DEFAULT_KEY = "scmoe"
PRETRAIN_KEY = "xtrimogene"
"""Default name of the results of `scmoe.tl.pretrain`."""
COUNTS_LAYER = "counts"
"""Layer of a modality that keeps the raw counts (written by `scmoe.pp.prepare`)."""
HELD_OUT_LAYER = "counts_held_out"
"""Layer of a modality with the counts that `scmoe.pp.split_counts` has set aside for tests."""
SPLICING = ("spliced", "unspliced", "ambiguous")
"""Layers of counts by splicing, which together are those of a gene; as STARsolo, alevin-fry and scVelo call them."""
ORIGINAL_LAYER = "X_before_prepare"
"""Layer of a modality that keeps the ``X`` that `scmoe.pp.prepare` replaced, where it was not the source."""
UNS_ROOT = "scmoe"
"""Entry of ``mdata.uns`` that holds what belongs to the data rather than to one model."""
PREPARE = "prepare"
"""``mdata.uns["scmoe"]["prepare"]``: what each modality was taken for and what was done to it."""
MISSING = "missing"
"""``mdata.uns["scmoe"]["missing"]``: a table of the features that were not measured in some cells."""
SET_ASIDE = "scmoe_set_aside"
"""Column of a modality's ``var``: why models do not read a feature; empty for those they read."""
PANEL = "scmoe_panel"
"""Column of a modality's ``obs``: which features of a mask that the user gave were measured in a cell."""
HIGHLY_VARIABLE = "highly_variable"
"""Column of ``var`` in which scanpy and muon mark the features to use."""
MADE_BY_NICHE = "made by niche"
"""How the ``reason`` in the record of a modality from `scmoe.pp.niche` begins."""
SPATIAL = "spatial"
"""Where squidpy and scanpy keep coordinates in ``obsm``."""
GRN = "grn"
"""``mdata.uns["grn"]``: the regulators behind simulated data, see `scmoe.datasets.simulate_grn`."""
TRUTH_LAYER = "truth"
"""Layer of a simulated modality: molecules in the cell, before any technical noise."""
UNKNOWN_LABEL = "Unknown"
"""Default category of cells without a label."""
SPLIT = "split"
"""``mdata.obs["split"]``: training, validation or test, see `scmoe.pp.split`."""
PARTS = ("train", "validation", "test")
"""Values of that column."""
ROLES = ("training cell", "validation cell", "test cell")
"""Values of ``mdata.obs["scmoe_split"]``, which says what a model did, and is no instruction to divide cells so."""
GROUP_KEY = "group_key"
"""``uns["scmoe"]["split"][key_added]["group_key"]``: column of donors that `scmoe.pp.split` kept together."""
COPY_OF = "copy_of"
"""``mdata.obs["copy_of"]``: the cell that a copied or made cell comes from, and every other cell's own name."""
MIXED_WITH = "mixed_with"
"""``mdata.obs["mixed_with"]``: the second cell that a mixed cell comes from; for others as ``"copy_of"``."""
IMBALANCE = "imbalance"
"""``mdata.uns["scmoe"]["imbalance"]``: how many cells of each type were kept, see `scmoe.datasets.imbalance`."""
RESULT_PATHS = "result_paths"
"""``mdata.uns[key_added]["result_paths"]``: what a model wrote, such as ``"obs/scmoe_label"`` (of the MuData and of its
modalities) and ``"rna/layers/scmoe_denoised"``. Nothing else is removed with its results."""

SD, LOWER, UPPER = "_sd", "_lower", "_upper"
"""At the end of keys of standard deviations, and of the ends of intervals."""
BESIDE = {SD: "the standard deviations", LOWER: "the lower ends", UPPER: "the upper ends"}
"""What stands beside predictions, by the end of its key."""
STORABLE = re.compile(r"(?!\.{1,2}$|_index$)[^/\\\x00\ud800-\udfff]{1,150}")
"""What columns, arrays and entries can be called in HDF5 files and zarr stores."""
OF_SCANPY = ("pca", "tsne", "umap")
"""Names under which an embedding would take the place of what scanpy keeps, as in ``obsm["X_pca"]``."""


def check_name(name: str, argument: str) -> None:
    """Refuse a name that files cannot hold."""
    if not STORABLE.fullmatch(name):
        raise ValueError(
            f"{argument} must be a name without '/' that files can hold, of 1 to 150 characters; found {name!r}."
        )


@dataclass(frozen=True, kw_only=True)
class Keys:
    """The storage keys of one model's results.

    Parameters
    ----------
    name
        The ``key_added`` of the model; also the entry of ``mdata.uns`` with its tables.
    """

    name: str = DEFAULT_KEY

    def __post_init__(self) -> None:
        """Refuse names that files cannot hold, or that would replace what scanpy keeps."""
        check_name(self.name, "key_added")
        if self.name in OF_SCANPY:
            raise ValueError(
                f"key_added={self.name!r} would write to obsm['X_{self.name}'], where scanpy keeps its own. Choose "
                "another name."
            )

    @property
    def embedding(self) -> str:
        """``mdata.obsm``, and ``mdata.mod[m].obsm`` for the modality's cells: joint embedding, cells x width."""
        return f"X_{self.name}"

    @property
    def state(self) -> str:
        """``mdata.mod[m].obsm``: the modality's own state, its cells x width."""
        return f"{self.name}_state"

    @property
    def labeled_embedding(self) -> str:
        """As `embedding`: the joint embedding beside the probabilities of the labels, cells x (width + labels)."""
        return f"X_{self.name}_labeled"

    @property
    def denoised(self) -> str:
        """``mdata.mod[m].layers``: a modality without noise, see `scmoe.tl.denoise`."""
        return f"{self.name}_denoised"

    @property
    def cluster(self) -> str:
        """``mdata.obs``: cluster of each cell (categorical)."""
        return f"{self.name}_cluster"

    @property
    def split(self) -> str:
        """``mdata.obs``: what a cell was to the training, one of `ROLES` (categorical)."""
        return f"{self.name}_{SPLIT}"

    @property
    def label(self) -> str:
        """``mdata.obs``: predicted label of each cell (categorical)."""
        return f"{self.name}_label"

    @property
    def label_confidence(self) -> str:
        """``mdata.obs``: probability of the predicted label."""
        return f"{self.name}_label_confidence"

    @property
    def label_second(self) -> str:
        """``mdata.obs``: second most probable label of each cell (categorical)."""
        return f"{self.name}_label_second"

    @property
    def label_second_confidence(self) -> str:
        """``mdata.obs``: probability of the second label."""
        return f"{self.name}_label_second_confidence"

    @property
    def supervised_label(self) -> str:
        """``mdata.obs``: label by the head of a network that has learned labels (categorical)."""
        return f"{self.name}_supervised_label"

    @property
    def supervised_label_confidence(self) -> str:
        """``mdata.obs``: probability of `supervised_label`."""
        return f"{self.name}_supervised_label_confidence"

    @property
    def label_rollup(self) -> str:
        """``mdata.obs``: the lowest label or parent of labels that is probable enough (categorical)."""
        return f"{self.name}_label_rollup"

    @property
    def label_rollup_confidence(self) -> str:
        """``mdata.obs``: probability of `label_rollup`."""
        return f"{self.name}_label_rollup_confidence"

    @property
    def label_rollup_level(self) -> str:
        """``mdata.obs``: the level of the tree that `label_rollup` is of (categorical)."""
        return f"{self.name}_label_rollup_level"

    @property
    def label_majority(self) -> str:
        """``mdata.obs``: the label that most cells of a cell's group have (categorical)."""
        return f"{self.name}_label_majority"

    @property
    def label_majority_share(self) -> str:
        """``mdata.obs``: share of the group's cells with `label_majority`."""
        return f"{self.name}_label_majority_share"

    @property
    def unknown_score(self) -> str:
        """``mdata.obs``: how unlike all known types a cell is, in (0, 1]."""
        return f"{self.name}_unknown_score"

    @property
    def label_probability(self) -> str:
        """``mdata.obsm``: probability of every label, a frame of cells x labels."""
        return f"{self.name}_label_probability"

    @property
    def mapping_score(self) -> str:
        """``mdata.obs``: how well each cell of a query fits the training cells, in (0, 1]."""
        return f"{self.name}_mapping_score"

    @property
    def router(self) -> str:
        """``mdata.mod[m].obsm``: share of the routing weight of each expert, cells x experts."""
        return f"{self.name}_router"

    @property
    def umap(self) -> str:
        """As `embedding`: the map that `scmoe.tl.umap` made of it, cells x 2."""
        return f"{self.name}_umap"

    @property
    def markers(self) -> str:
        """``mdata.mod[m].uns``: tests of the modality as scanpy stores its own, see `scmoe.tl.markers`."""
        return f"{self.name}_markers"

    def imputed(self, target: str, sources: Sequence[str]) -> str:
        """``mdata.obsm`` (all cells) and ``mdata.mod[target].layers`` (its cells): predicted features of `target`."""
        return f"{self.name}_{target}_from_{'+'.join(sources)}"

    def imputed_sd(self, target: str, sources: Sequence[str]) -> str:
        """Beside `imputed`: the standard deviations of the predicted values."""
        return f"{self.imputed(target, sources)}{SD}"

    def imputed_bounds(self, target: str, sources: Sequence[str]) -> tuple[str, str]:
        """Beside `imputed`: the lower and upper ends of the predicted values' intervals."""
        own = self.imputed(target, sources)
        return f"{own}{LOWER}", f"{own}{UPPER}"

    def check_imputed(self, target: str, sources: Sequence[str], modalities: Collection[str]) -> None:
        """Refuse names of modalities with which the predictions of two things would have one key."""
        own = self.imputed(target, sources)
        for key in (own, *(f"{own}{end}" for end in BESIDE)):
            readings = sorted(set(self._readings(key, modalities)))
            if len(readings) > 1:
                raise ValueError(
                    f"{key!r} would stand for {' and for '.join(readings)}. Rename a modality: its name reads like "
                    "what others are combined to."
                )

    def _readings(self, key: str, modalities: Collection[str]) -> Iterator[str]:
        """What a key of predictions can stand for."""
        for target in modalities:
            prefix = self.imputed(target, [""])
            if not key.startswith(prefix):
                continue
            rest, others = key.removeprefix(prefix), [name for name in modalities if name != target]
            for sources in _joined(rest, others):
                yield f"{target!r} from {sources}"
            for end, what in BESIDE.items():
                for sources in _joined(rest.removesuffix(end), others) if rest.endswith(end) else ():
                    yield f"{what} of {target!r} from {sources}"

    def of_embedding(self, modalities: Collection[str]) -> list[str]:
        """Paths that `scmoe.tl.embed` writes to."""
        states = [f"{name}/obsm/{self.state}" for name in modalities]
        return [f"obsm/{self.embedding}", f"obsm/{self.labeled_embedding}", *states]

    def of_annotation(self) -> list[str]:
        """Paths that `scmoe.tl.annotate` writes to."""
        labels = (self.label, self.label_confidence, self.label_second, self.label_second_confidence)
        supervised = (self.supervised_label, self.supervised_label_confidence)
        levels = (self.label_rollup, self.label_rollup_confidence, self.label_rollup_level)
        majority = (self.label_majority, self.label_majority_share)
        columns = (*labels, *supervised, *levels, *majority, self.unknown_score)
        return [*(f"obs/{name}" for name in columns), f"obsm/{self.label_probability}"]

    def of_cells(self, modalities: Collection[str]) -> list[str]:
        """Paths of all that is said of cells, but for predictions, which are named after modalities."""
        arrays = (f"obsm/{self.router}", f"layers/{self.denoised}")
        own = [f"{name}/{array}" for name in modalities for array in arrays]
        columns = [f"obs/{self.cluster}", f"obs/{self.split}", f"obs/{self.mapping_score}"]
        return [*self.of_embedding(modalities), *self.of_annotation(), *columns, *own]


def _joined(text: str, names: Collection[str]) -> Iterator[list[str]]:
    """The lists of names that give `text` when they are joined by ``+``."""
    if text in names:
        yield [text]
    for name in names:
        if text.startswith(f"{name}+"):
            for others in _joined(text.removeprefix(f"{name}+"), names):
                yield [name, *others]


def copied_column(modality: str, name: str) -> str:
    """What mudata calls the copy of a modality's column in ``mdata.obs``."""
    return f"{modality}:{name}"


def column_names(names: Sequence[str]) -> list[str]:
    """Names of features or labels as those of columns or files, which hold no ``/``: ``_`` stands for it.

    A name without ``/`` stays as it is. If another one would become the same (HLA-A/B beside HLA-A_B), it gets a ``_``
    more.
    """
    taken = {name for name in names if "/" not in name}
    out = []
    for name in names:
        column = name
        if "/" in name:
            column = name.replace("/", "_")
            while column in taken:
                column += "_"
            taken.add(column)
        out.append(column)
    return out


HISTORY = "history"
"""``mdata.uns[key_added]["history"]``: a frame with one row an epoch and one column a loss."""
DIAGNOSTICS = "diagnostics"
"""``mdata.uns[key_added]["diagnostics"]``: whether the training went well, see `scmoe.model.SCMOE.diagnostics`."""
PARAMS = "params"
"""``mdata.uns[key_added]["params"]``: settings, seed, versions and timings of the model."""
QUERY = "query"
"""``mdata.uns[key_added]["query"]``: what of a model a query has, see `scmoe.tl.map_query`."""
ANNOTATION = "annotation"
"""``mdata.uns[key_added]["annotation"]``: how many cells have a label, how many are right, see `scmoe.tl.annotate`."""
EXPERT_USAGE_GROUPBY = "expert_usage_groupby"
EXPERT_USAGE = "expert_usage"
"""``mdata.uns[key_added]["expert_usage"]``: tidy frame, see `scmoe.tl.expert_usage`."""
EXPERT_SUMMARY = "expert_summary"
"""``mdata.uns[key_added]["expert_summary"]``: tidy frame, see `scmoe.tl.expert_usage`."""
EXPERT_CARDS = "expert_cards"
"""``mdata.uns[key_added]["expert_cards"]``: tidy frame, see `scmoe.tl.expert_cards`."""
EXPERT_STABILITY = "expert_stability"
"""``mdata.uns[key_added]["expert_stability"]``: tidy frame, see `scmoe.tl.expert_stability`."""
ATTENTION_GROUPBY = "attention_groupby"
ATTENTION = "attention"
"""``mdata.uns[key_added]["attention"]``: tidy frame, see `scmoe.tl.attention`."""
ATTENTION_TOKENS = "attention_tokens"
"""``mdata.uns[key_added]["attention_tokens"]``: tidy frame, see `scmoe.tl.attention`."""
ABLATION = "ablation"
"""``mdata.uns[key_added]["ablation"]``: tidy frame, see `scmoe.tl.ablation`."""
EXPERT_ABLATION = "expert_ablation"
"""``mdata.uns[key_added]["expert_ablation"]``: tidy frame, see `scmoe.tl.ablation`."""
TCAV = "tcav"
"""``mdata.uns[key_added]["tcav"]``: tidy frame, see `scmoe.tl.tcav`."""
ATTRIBUTION = "attribution"
"""``mdata.uns[key_added]["attribution"]``: tidy frame, see `scmoe.tl.attribute`."""
ATTRIBUTION_SUMMARY = "attribution_summary"
"""``mdata.uns[key_added]["attribution_summary"]``: by target and modality, see `scmoe.tl.attribute`."""
DELETION = "deletion"
"""``mdata.uns[key_added]["deletion"]``: tidy frame, see `scmoe.tl.deletion`."""
DELETION_SUMMARY = "deletion_summary"
"""``mdata.uns[key_added]["deletion_summary"]``: by target and ranking, see `scmoe.tl.deletion`."""
GRADIENT_CONFLICT = "gradient_conflict"
"""``mdata.uns[key_added]["gradient_conflict"]``: tidy frame, see `scmoe.tl.gradient_conflict`."""
MARKERS = "markers"
"""``mdata.uns[key_added]["markers"]``: tidy frame, see `scmoe.tl.markers`."""
MARKERS_GROUPBY = "markers_groupby"
DIFFERENTIAL = "differential"
"""``mdata.uns[key_added]["differential"]``: tidy frame, see `scmoe.tl.differential`."""
ABUNDANCE = "abundance"
"""``mdata.uns[key_added]["abundance"]``: tidy frame, see `scmoe.tl.abundance`."""
TABLES = (
    *(HISTORY, DIAGNOSTICS, PARAMS, QUERY, ANNOTATION, EXPERT_USAGE_GROUPBY, EXPERT_USAGE, EXPERT_SUMMARY),
    *(EXPERT_CARDS, EXPERT_STABILITY, ATTENTION_GROUPBY, ATTENTION, ATTENTION_TOKENS, ABLATION, TCAV, ATTRIBUTION),
    *(ATTRIBUTION_SUMMARY, DELETION, DELETION_SUMMARY, GRADIENT_CONFLICT, MARKERS, MARKERS_GROUPBY, DIFFERENTIAL),
    *(ABUNDANCE, EXPERT_ABLATION),
)
"""All entries of ``mdata.uns[key_added]`` that tools write."""
UMAP = "X_umap"
"""``mdata.obsm`` and ``mdata.mod[m].obsm``: where `scanpy.pl.umap` looks for coordinates."""
BEFORE = "_before"
"""At the end of names of what was where results were to be written, and is not known to be one."""
