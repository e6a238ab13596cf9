"""All methods of the comparison: a new one has a file beside this one, and its record in the list here."""

from collections.abc import Mapping

from scmoe.benchmark._inputs import MOSAIC, mosaic_pair
from scmoe.benchmark.methods._actinn import METHOD as ACTINN
from scmoe.benchmark.methods._annotate import METHODS as CLASSIFIERS
from scmoe.benchmark.methods._celltypist import METHOD as CELLTYPIST
from scmoe.benchmark.methods._embed import METHODS as EMBEDDINGS
from scmoe.benchmark.methods._embed import PCA, PREFIX, pca_of
from scmoe.benchmark.methods._gene_pairs import METHOD as GENE_PAIRS
from scmoe.benchmark.methods._method import Method
from scmoe.benchmark.methods._midas import METHOD as MIDAS
from scmoe.benchmark.methods._predict import METHODS as PREDICTORS
from scmoe.benchmark.methods._scbert import METHOD as SCBERT
from scmoe.benchmark.methods._schema import METHOD as SCHEMA
from scmoe.benchmark.methods._scmoe import METHODS as SCMOE
from scmoe.benchmark.methods._scvi import METHODS as SCVI
from scmoe.benchmark.methods._unitednet import METHOD as UNITEDNET

RNA_CLASSIFIERS = (ACTINN, GENE_PAIRS, CELLTYPIST, SCBERT)
METHODS = {
    method.name: method
    for method in (
        *SCMOE,
        *PCA,
        *EMBEDDINGS,
        SCHEMA,
        *PREDICTORS,
        *CLASSIFIERS,
        *RNA_CLASSIFIERS,
        UNITEDNET,
        *SCVI,
        MIDAS,
    )
}
"""By name, in the order of tables; the PCA of one modality, `pca_of`, is for the data's own names."""


def method_of(name: str) -> Method:
    """The method with this name."""
    return METHODS[name] if name in METHODS else pca_of(name.removeprefix(PREFIX))


def methods_of(task: str, kinds: Mapping[str, str]) -> list[Method]:
    """The methods that do a task, in order, on modalities of these kinds.

    Parameters
    ----------
    task
        One of `TASKS`.
    kinds
        Kind of each modality. If there are several, the PCA of each one follows that of all; in a mosaic, whose cells
        mostly have the first modality, there is that of the first one only.
    """
    alone = mosaic_pair(kinds)[:1] if task == MOSAIC else list(kinds)
    methods = list(METHODS.values())
    place = methods.index(PCA[-1]) + 1
    methods[place:place] = [pca_of(name) for name in alone] if len(kinds) > 1 else []
    # In a mosaic, whose tables begin with what is predicted, methods that only embed come last.
    return sorted((method for method in methods if method.does(task)), key=lambda m: task == MOSAIC and not m.predict)
