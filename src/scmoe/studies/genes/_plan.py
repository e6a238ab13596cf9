"""What the pretraining studies run: one `Task` for each piece of work, shared by the studies that need it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from scmoe.studies._run import Task as BaseTask
from scmoe.studies.genes._data import Source

PRETRAINING, ANNOTATION, VALUES, MASKING, SPARSITY, TOKENIZERS, EXPERTS, PERTURBATION = STUDIES = (
    "pretraining",
    "annotation",
    "values",
    "masking",
    "sparsity",
    "tokenizers",
    "experts",
    "perturbation",
)
HELD_OUT, FOLDS, SWEEP, BASELINES, SCREEN = "held_out", "folds", "sweep", "baselines", "screen"
"""Kinds of tasks: pretrained without the test cells of a fold; pretrained on all cells; a setting of the network on a
part of the cells; what needs no network on that part; a simulated screen."""
BASE, DEPTH = "default", "depth tokens"
RATES = (0.15, 0.30, 0.45, 0.60, 0.75, 0.90)
ZERO_RATIO = 0.1
"""Rate at which zeros are masked, of that of expressed genes."""


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A setting of the network: fields of `scmoe.model.GeneConfig` and `scmoe.model.PretrainConfig`."""

    network: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)


def rate_name(rate: float) -> str:
    """Of the variant that masks so many of the expressed genes; the default is one of them."""
    return BASE if rate == 0.3 else f"mask {100 * rate:.0f} %"


NO_ZEROS = "no zeros masked"
VARIANTS = {
    BASE: Variant(),
    **{name: Variant(network={"value_embedding": name}) for name in ("linear", "round", "up", "equal")},
    "classes": Variant(network={"target": "class"}),
    **{
        rate_name(rate): Variant(training={"mask_nonzero": rate, "mask_zero": ZERO_RATIO * rate})
        for rate in RATES
        if rate_name(rate) != BASE
    },
    NO_ZEROS: Variant(training={"mask_zero": 0.0}),
    DEPTH: Variant(network={"depth_tokens": True}),
    **{name: Variant(network={"tokenizer": name}) for name in ("bins", "integer", "rank")},
    "4 experts": Variant(network={"n_experts": 4, "top_k": 2}),
    "8 experts": Variant(network={"n_experts": 8, "top_k": 2}),
}
OF_STUDY = {
    VALUES: (BASE, "linear", "round", "up", "equal", "classes"),
    MASKING: (*map(rate_name, RATES), NO_ZEROS),
    SPARSITY: (BASE, DEPTH),
    TOKENIZERS: (BASE, DEPTH, "bins", "integer", "rank"),
    EXPERTS: (BASE, "4 experts", "8 experts"),
}
"""Variants of the studies on a part of the cells."""


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much is run; the methods are the same at any size.

    Parameters
    ----------
    n_train, n_test, n_genes
        Cells and genes of the part that settings are compared on.
    n_steps
        Steps of a pretraining on it.
    n_cells
        Cells of the studies "pretraining" and "annotation" at most.
    n_long_steps
        Steps of their pretraining.
    tuning_epochs
        Of fine-tuning.
    tuned_cells
        Of data with more cells only the whole encoder is fine-tuned in all five folds, parts of it in the first.
    n_screen
        Cells of each simulated knock-out.
    zeros
        Shares of zeros that held-out cells are thinned to.
    """

    n_train: int = 1400
    n_test: int = 600
    n_genes: int = 1000
    n_steps: int = 200
    n_cells: int = 10_000
    n_long_steps: int = 400
    tuning_epochs: int = 5
    tuned_cells: int = 2000
    n_screen: int = 200
    zeros: tuple[float, ...] = (0.80, 0.85, 0.90, 0.92, 0.94, 0.95, 0.96, 0.97)


FULL = Size()
QUICK = Size(
    n_train=600,
    n_test=300,
    n_genes=500,
    n_steps=40,
    n_cells=1000,
    n_long_steps=40,
    tuning_epochs=2,
    tuned_cells=0,
    n_screen=40,
    zeros=(0.90, 0.95, 0.97),
)


@dataclass(frozen=True, kw_only=True)
class Task(BaseTask):
    """One unit of work, whose result is one file.

    Parameters
    ----------
    kind
        What is done.
    source, content
        Name and hash of the data; empty for simulated ones.
    variant
        Of `VARIANTS`.
    seed
        Of split, masks and network.
    size
        How much.
    """

    kind: str
    source: str = ""
    content: str = ""
    variant: str = BASE
    seed: int
    size: Size

    @property
    def name(self) -> str:
        """For files."""
        words = self.variant.replace("%", "").split() if self.kind == SWEEP else []
        return "-".join(word for word in (self.kind, self.source, *words, f"seed{self.seed}") if word)

    def dependencies(self) -> list[Any]:
        """The model's code and the settings of the variant."""
        return [*super().dependencies(), asdict(VARIANTS[self.variant])]


def plan(sources: Sequence[Source], studies: Sequence[str], seeds: Sequence[int], size: Size) -> Iterator[Task]:
    """All tasks, one seed after another, so that an unfinished run has every study."""
    main = sources[0]
    variants = list(dict.fromkeys(name for study in studies for name in OF_STUDY.get(study, ())))
    for seed in seeds:
        if PRETRAINING in studies or ANNOTATION in studies:
            yield Task(kind=HELD_OUT, source=main.name, content=main.content, seed=seed, size=size)
        if variants:
            yield Task(kind=BASELINES, source=main.name, content=main.content, seed=seed, size=size)
        for name in variants:
            yield Task(kind=SWEEP, source=main.name, content=main.content, variant=name, seed=seed, size=size)
        if PERTURBATION in studies:
            yield Task(kind=SCREEN, seed=seed, size=size)
        if ANNOTATION in studies:
            # Minutes on many cells, where cells of one seed tell as much as those of three on few.
            for source in sources if seed == seeds[0] else sources[-1:]:
                yield Task(kind=FOLDS, source=source.name, content=source.content, seed=seed, size=size)
