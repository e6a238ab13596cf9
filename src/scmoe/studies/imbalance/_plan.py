"""What the study of unequal labels runs: factors, treatments, and one `Task` for each piece of work."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from scmoe.losses._class_balance import OPTIONS
from scmoe.studies._run import Task as BaseTask

STUDY, ANNOTATOR = "study", "annotator"
"""Kinds of tasks: tokenizers and treatments where imbalance is imposed; `class_balance` of SCMOE, network and data as
users have them."""
NATURAL, IMPOSED, DONORS = "natural", "imposed", "donors"
"""Cases of the latter: five folds; the same with training cells drawn to `MAIN_RHO`; one batch or donor held out after
another."""
LINEAR = "linear"
TOKENIZERS = (LINEAR, "continuous", "bins", "integer", "rank")
NONE, OVER, UNDER_T, UNDER_MIN = "none", "oversample", "undersample to T", "undersample to least"
AUGMENTED: dict[str, Literal["thin", "mix"]] = {"thinned copies": "thin", "mixed copies": "mix"}
"""New cells, by how `scmoe.pp.augment` makes them."""
IMPUTED = "imputed cells"
"""New cells, drawn from scVI."""
RESAMPLED = (OVER, UNDER_T, UNDER_MIN, *AUGMENTED, IMPUTED)
TREATMENTS = (NONE, *RESAMPLED, *(option for option in OPTIONS if option != NONE))
"""Resampled training cells, all of which then count alike; and the options of `class_balance`."""
ANNOTATED = tuple(option for option in OPTIONS if option not in ("post_hoc", "deferred", "decoupled"))
"""Options of SCMOE's annotator. The others have the same solutions there: its members are convex, and have no encoder
to keep."""
RHOS = (1.0, 10.0, 50.0, 100.0)
MAIN_RHO = 50.0
"""Where all treatments are compared; at the others only those of `EVERYWHERE`."""
EVERYWHERE = (NONE, OVER)
MIN_RARE = 2
"""Training cells that the rarest label must keep; larger factors are left out."""


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much is run; the methods are the same at any size.

    Parameters
    ----------
    n_genes
        Genes that are most variable in the training cells.
    n_pretraining
        Steps of pretraining on all training cells, without labels.
    n_steps
        Steps of fine-tuning, the same for all treatments.
    n_test
        Test cells at most.
    rhos
        Of `RHOS`.
    epochs
        Of SCMOE; None: its default.
    imputation_epochs
        Of scVI, at most.
    """

    n_genes: int = 400
    n_pretraining: int = 100
    n_steps: int = 40
    n_test: int = 600
    rhos: tuple[float, ...] = RHOS
    epochs: int | None = None
    imputation_epochs: int = 200


FULL = Size()
QUICK = Size(n_genes=150, n_pretraining=20, n_steps=10, n_test=400, epochs=6, imputation_epochs=100)


@dataclass(frozen=True, kw_only=True)
class Task(BaseTask):
    """One unit of work, whose result is one file.

    Parameters
    ----------
    kind, seed
        What is done, and the seed of all that is random in it.
    case
        A tokenizer, or a case of the annotator.
    content
        Hash of all data that the task reads.
    size
        How much.
    """

    kind: str
    case: str
    seed: int
    content: str
    size: Size

    @property
    def name(self) -> str:
        """For files."""
        return f"{self.kind}-{self.case}-seed{self.seed}"


def plan(
    contents: Mapping[str, str], parts: Sequence[str], cases: Sequence[str], seeds: Sequence[int], size: Size
) -> Iterator[Task]:
    """All tasks, one seed after another, so that an unfinished run has something of everything; `contents` by kind."""
    for seed in seeds:
        for kind, names in ((STUDY, TOKENIZERS), (ANNOTATOR, cases)):
            for name in names if kind in parts else ():
                yield Task(kind=kind, case=name, seed=seed, content=contents[kind], size=size)
