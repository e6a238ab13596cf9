"""`tcav`: write which concepts targets depend on."""

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from mudata import MuData
from numpy.typing import NDArray
from tqdm.auto import tqdm

from scmoe._align import mask_of
from scmoe._keys import DEFAULT_KEY, TCAV
from scmoe._log import logger
from scmoe.arguments._checked import checks_arguments
from scmoe.datasets._anndata import takes_anndata
from scmoe.datasets._categories import Category
from scmoe.datasets._cells import take
from scmoe.explain.concepts._adjust import ALPHA, Method, adjust
from scmoe.explain.concepts._cells import CONTROL, Concept, Mask, MaskConcept, batch_controls, depth_control
from scmoe.explain.concepts._features import missing_rate_concepts, modality_concepts
from scmoe.explain.concepts._gene_sets import marker_concepts, raised_concepts
from scmoe.explain.concepts._raised import RaisedConcept
from scmoe.explain.concepts._tcav import N_PERMUTATIONS, N_RANDOM
from scmoe.io._quiet import quiet_mudata
from scmoe.model._features import to_numpy
from scmoe.model.explain._targets import nearest
from scmoe.tl._results import check_results, check_trained
from scmoe.tl._tables import knows_split
from scmoe.tl._tcav_run import run_layer, usable_targets
from scmoe.tl._write import write_uns

if TYPE_CHECKING:
    from scmoe.model._scmoe import SCMOE

MAX_CELLS = 10_000
"""Cells that concepts and targets are taken from; of more, a random part."""
BAR_SECONDS = 10
"""After which a progress bar appears."""


@checks_arguments
@takes_anndata
def tcav(
    mdata: MuData,
    model: "SCMOE",
    *,
    targets: Category | Sequence[Category] | None = None,
    groupby: str | None = None,
    modalities: bool = True,
    gene_sets: Mapping[str, Sequence[str]] | None = None,
    markers: Mapping[str, Sequence[str]] | None = None,
    cells: Mapping[str, NDArray[np.bool_] | pd.Series | str] | None = None,
    missing_rate: str | None = None,
    layer: str | Sequence[str] = "input",
    n_random: int = N_RANDOM,
    n_permutations: int | None = None,
    n_matched: int | None = None,
    correction: Method = "holm",
    seed: int = 0,
    key_added: str = DEFAULT_KEY,
) -> None:
    """Test which concepts the model's decisions depend on (TCAV, Kim et al. 2018), with controls.

    A concept is a direction in a layer of the model that is learned from cells that have it and cells that do not.
    The question is whether the log-odds of a label increase in that direction, in the cells of the label. Depth
    (total counts) and the largest batches are always run as well: what they do is not biology.

    Parameters
    ----------
    mdata
        Training data or a query.
    model
        A trained model.
    targets
        Labels, or groups of `groupby`, to explain; default all with at least 30 cells
        (that have all modalities, if these are concepts). Of targets with fewer, what can still be said: gene sets,
        markers and cells are tested, modalities and missing rates are not; below 10 cells there is no p-value, and
        ``note`` holds their derivatives.
    groupby
        Column of ``mdata.obs`` with groups, such as clusters; default the labels that the model was trained with.
        Predicted labels count as labels; other groups are explained as the embedding tells them apart.
    modalities
        Whether each modality is a concept: cells of the target with nothing but this modality their own, against
        cells of the target with nothing but the other modalities their own. All else comes from random cells.
    gene_sets
        Name -> genes (or other features of one modality). All are raised in the same cells, from their mean in the
        half of the cells that has least to that in the tenth that has most; the concept is the direction in which
        that takes the layer.
    markers
        Name -> genes. Cells as a concept: the tenth that express the set most, against the half that expresses it
        least, without the cells of the target. Where these belong to a rival label, the target may fall along the way
        to them.
    cells
        Name -> boolean mask over all cells, or boolean column of ``mdata.obs``: these cells against all others. A
        Series that names its cells is matched by name.
    missing_rate
        A modality with raw counts, or with logarithms of counts. Bands of its genes by their share of zeros (0-20 %,
        ... 80-100 %) are concepts, made like those of modalities: a band against as many genes of the other bands.
    layer
        One or several of ``model.layers``. Labels and clusters are read from gene programs of the input as well as
        from tokens, so only ``"input"`` sees all that they depend on.
    n_random
        See `scmoe.explain.concept_test`.
    n_permutations
        Permutations; None: 1999, or more if the number of tests takes more for any to be significant.
    n_matched
        Random sets of genes, of the same size and expression, that each of `gene_sets` is compared with; None: as
        many as permutations.
    correction
        For all tests of the call; see ``p_adjusted``.
    seed
        Of everything random.
    key_added
        Name of the results.

    Returns
    -------
    None
        Writes ``mdata.uns[key_added]["tcav"]``, a frame with a row for each layer, target and concept. Its columns
        are those of `scmoe.explain.concept_test` (``p`` of a gene set is the share of random gene sets that have at
        least the effect; its direction is not learned, so its accuracy is 1), and

        - ``layer``, ``concept``;
        - ``kind``: ``"modality"``, ``"gene set"``, ``"markers"``, ``"cells"``, ``"missing rate"`` or ``"control"``;
        - ``p_matched``: of markers, share of 50 random gene sets that have at least the effect; NaN for other concepts;
        - ``p_adjusted``: ``p`` for all tests of the call together;
        - ``significant``: ``p_adjusted``, ``cav_accuracy_p`` and (of markers) ``p_matched`` are below 0.05;
        - ``control_cosine``: largest size of the cosine of the concept's direction with that of a control; NaN where
          there is no other control.

    Raises
    ------
    KeyError
        A column that `mdata` does not have.
    ValueError
        No labels; a target, layer, modality or gene that does not exist (the nearest names are listed); too few
        cells; a layer in which TCAV cannot work; too few permutations, or random sets of genes, for so many tests.

    Examples
    --------
    >>> sets = {"ribosome": ["RPS8", "RPS27", "RPS7", "RPL37A", "RPL15"]}
    >>> scmoe.tl.tcav(mdata, model, targets=["B", "myeloid"], gene_sets=sets)
    >>> columns = ["target", "concept", "score", "p_adjusted", "significant"]
    >>> table = mdata.uns["scmoe"]["tcav"][columns]
    """
    check_trained(model)
    check_results(mdata, key_added)
    indices = sample_cells(mdata, seed)
    with quiet_mudata():
        sample = mdata if len(indices) == mdata.n_obs else take(mdata, indices)
    masks = {name: concept_mask(mdata, name, value)[indices] for name, value in (cells or {}).items()}
    concepts: list[Concept] = list(modality_concepts(sample, model.setup) if modalities else ())
    concepts += marker_concepts(sample, model.setup, markers or {}, seed)
    concepts += [MaskConcept(name=name, kind="cells", mask=mask) for name, mask in masks.items()]
    if missing_rate is not None:
        training = model.train_indices if knows_split(model, mdata) else indices
        concepts += missing_rate_concepts(sample, model.setup, missing_rate, np.isin(indices, training), seed)
    concepts += [*depth_control(sample, model.setup), *batch_controls(sample, model.setup)]
    entries = usable_targets(sample, model, targets, groupby, concepts, key_added, has_gene_sets=bool(gene_sets))
    layers = [layer] if isinstance(layer, str) else list(layer)
    enough = enough_permutations(len(layers) * len(entries) * (len(concepts) + len(gene_sets or {})))
    n_permutations, n_matched = n_permutations or enough, n_matched or enough
    scales = {
        name: to_numpy(standardizer.std)
        for name, standardizer in zip(model.modalities, model.module.standardizers, strict=True)
    }
    raised = raised_concepts(sample, model.setup, gene_sets or {}, scales, n_matched, seed)
    all_concepts: list[Concept | RaisedConcept] = [*raised, *concepts]
    check_tests(all_concepts, len(layers) * len(entries), n_permutations, n_matched)
    with tqdm(total=len(layers) * len(all_concepts), desc="TCAV", delay=BAR_SECONDS, file=sys.stderr) as bar:
        tables = [
            run_layer(
                sample,
                model,
                name,
                entries,
                all_concepts,
                n_random=n_random,
                n_permutations=n_permutations,
                seed=seed,
                progress=bar.update,
            )
            for name in layers
        ]
    write_uns(mdata, key_added, **{TCAV: adjust(pd.concat(tables, ignore_index=True), correction)})


def enough_permutations(n_tests: int) -> int:
    """Permutations enough for a p-value that twice the correction for all tests would leave significant."""
    return max(N_PERMUTATIONS, int(np.ceil(2 * n_tests / ALPHA)))


def sample_cells(mdata: MuData, seed: int) -> NDArray[np.intp]:
    """Positions of the cells to work with."""
    if mdata.n_obs > MAX_CELLS:
        logger.info("TCAV takes its cells from a random %d of %d", MAX_CELLS, mdata.n_obs)
    return np.sort(np.random.default_rng(seed).permutation(mdata.n_obs)[:MAX_CELLS])


def concept_mask(mdata: MuData, name: str, value: NDArray[np.bool_] | pd.Series | str) -> Mask:
    """A mask over all cells, as given or from ``mdata.obs``."""
    if isinstance(value, str):
        if value not in mdata.obs:
            raise KeyError(
                f"cells[{name!r}] names no column of mdata.obs: {value!r}{nearest(value, list(map(str, mdata.obs)))}"
            )
        value = mdata.obs[value]
    return mask_of(value, mdata.obs_names, f"cells[{name!r}]")


def check_tests(concepts: Sequence[Concept | RaisedConcept], n_each: int, n_permutations: int, n_matched: int) -> None:
    """Raise if there is nothing to test, two concepts share a name, or no test of a kind could become significant."""
    names = [concept.name for concept in concepts]
    if all(concept.kind == CONTROL for concept in concepts):
        raise ValueError(
            "There is no concept to test. Pass gene_sets=, markers= or cells=, or data with at least two modalities "
            "(modalities=True)."
        )
    if repeated := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"Two concepts are called {repeated[0]!r}. Rename one.")
    n_tests = n_each * len(concepts)
    if n_tests / (n_permutations + 1) >= ALPHA:
        raise ValueError(
            f"With {n_tests} tests (layers x targets x concepts) none can be significant after {n_permutations} "
            f"permutations. Set n_permutations to at least {int(2 * n_tests / ALPHA)}, or name fewer targets."
        )
    if any(isinstance(concept, RaisedConcept) for concept in concepts) and n_tests / (n_matched + 1) >= ALPHA:
        raise ValueError(
            f"With {n_tests} tests (layers x targets x concepts) no gene set can be significant beside {n_matched} "
            f"random sets of genes. Set n_matched to at least {int(2 * n_tests / ALPHA)}, or name fewer targets."
        )
