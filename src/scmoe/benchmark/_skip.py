"""Why a run of a comparison cannot be made."""

from importlib.util import find_spec

from scmoe.benchmark._plan import ANNOTATE, EMBED, HEAVY, MOSAIC, PREDICT, PREFIX, Facts, Run
from scmoe.benchmark.methods._scmoe import TOKENS, VARIANTS
from scmoe.model._gene_tokens import RNA_KINDS

KINDS = {"totalvi": ("rna", "protein"), "multivi": ("rna", "peaks"), "midas": ("rna", "protein")}
PAIRED = ("snf", "wnn", "totalvi", "multivi")
"""Methods for cells that have all modalities."""
MAX_CELLS = {"snf": 15_000, "kernel_ridge": 15_000}
"""Above, their cells x cells matrices do not fit into the memory of a laptop."""


def reason_to_skip(run: Run, facts: Facts) -> str:
    """Why a run cannot be made; empty if it can."""
    if run.task == EMBED and max(facts.n_labels, facts.n_batches) < 2:
        return "no labels and no batches to score the embedding with"
    if facts.n_labels < 2 and (run.task == ANNOTATE or (run.task == MOSAIC and run.method.startswith(PREFIX))):
        return "no labels"
    if run.task == MOSAIC and not (facts.complete and len(facts.kinds) == 2):
        return "needs two modalities, both in every cell"
    package = HEAVY.get(run.method)
    missing = f"{package} is not installed" if package is not None and find_spec(package) is None else ""
    return _unsuited(run, facts) or missing


def _unsuited(run: Run, facts: Facts) -> str:
    kinds = list(facts.kinds.values())
    needed: tuple[str, ...] = KINDS.get(run.method, ())
    if any(kinds.count(kind) != 1 for kind in needed):
        return f"needs raw counts of one modality each of {' and '.join(needed)}"
    if needed and (len(kinds) > len(needed)):
        return f"is for {' and '.join(needed)} only"
    if run.method == "totalvi" and run.task == PREDICT and facts.kinds[run.target] != "protein":
        return "predicts protein from rna only"
    if run.method in PAIRED and run.task == EMBED and not facts.complete:
        return "needs every modality in every cell"
    if run.method in ("snf", "wnn") and len(kinds) < 2:
        return "needs two modalities"
    limit = MAX_CELLS.get(run.method)
    if limit is not None and facts.n_cells > limit:
        return f"more than {limit} cells"
    return _same_as_default(run, facts)


def _same_as_default(run: Run, facts: Facts) -> str:
    """A variant's likelihoods change nothing where there is no modality of their kinds, and gene tokens need RNA."""
    likelihoods = VARIANTS[run.method].likelihoods if run.method in VARIANTS else {}
    alone = run.task == ANNOTATE and run.source
    seen = {facts.kinds[run.source]} if alone else set(facts.kinds.values())
    if run.method in TOKENS and not seen & set(RNA_KINDS):
        return "needs RNA"
    return f"needs raw counts of {' or '.join(likelihoods)}" if likelihoods and not seen & set(likelihoods) else ""
