"""`split_counts`: set some of the molecules of each cell aside, for tests of what is made from the others."""

from collections.abc import Sequence

import numpy as np
from mudata import MuData
from scipy import sparse

from scmoe._check import check_mdata, choose_modalities
from scmoe._keys import COUNTS_LAYER, HELD_OUT_LAYER
from scmoe._log import logger
from scmoe._matrix import Matrix, check_counts
from scmoe.arguments._checked import checks_arguments
from scmoe.datasets._anndata import takes_anndata
from scmoe.io._mapped import canonical
from scmoe.pp._records import prepare_records
from scmoe.pp._source import find_source, holds_counts, keep_original


@checks_arguments
@takes_anndata
def split_counts(
    mdata: MuData, *, modality: str | Sequence[str] | None = None, held_out: float = 0.5, seed: int = 0
) -> None:
    """Set some of the counts of each cell aside, so that clusters can be tested on counts that did not make them.

    Clusters are where a feature is high by chance, too, and a test of the same counts takes that for a difference. So
    each molecule is drawn for one of two parts (binomial thinning). Of counts without more noise than sampling
    (Poisson) these are independent, so that a test of one part is valid for what was made from the other; what is left
    of noise in common is that of the cell's own expression. Call this before `scmoe.pp.prepare` and the training, which
    then read the first part; `scmoe.tl.markers` tests the other.

    Parameters
    ----------
    mdata
        Data with raw counts.
    modality
        Modality or modalities; None: all that hold raw counts.
    held_out
        Share of the counts to set aside.
    seed
        Of the draw.

    Returns
    -------
    None
        Writes to each modality ``layers["counts_held_out"]``, ``layers["counts"]`` (what is left; the sum of both are
        the counts that were there) and ``X``, the latter again. What else was in ``X`` is kept as
        `scmoe.pp.prepare` keeps it.

    Raises
    ------
    KeyError
        A modality that there is not.
    ValueError
        A modality has no raw counts, or they are split already.

    Examples
    --------
    >>> import scmoe
    >>> mdata = scmoe.datasets.bmmc_cite()
    >>> n_counts = mdata["rna"].X.sum()
    >>> scmoe.pp.split_counts(mdata)
    >>> float(mdata["rna"].X.sum() + mdata["rna"].layers["counts_held_out"].sum() - n_counts)
    0.0
    """
    check_mdata(mdata)
    if modality is None:
        names = [name for name, adata in mdata.mod.items() if holds_counts(find_source(name, adata).matrix)]
        if not names:
            raise ValueError("No modality holds raw counts, so there is nothing to split. Read the counts first.")
    else:
        names = choose_modalities(mdata, modality)
    sources = {}
    for name in names:
        adata = mdata.mod[name]
        if HELD_OUT_LAYER in adata.layers:
            raise ValueError(
                f"The counts of mdata[{name!r}] are split already. To begin anew, add them up: "
                f"layers['{COUNTS_LAYER}'] + layers['{HELD_OUT_LAYER}']."
            )
        sources[name] = find_source(name, adata)
        check_counts(sources[name].matrix, name, sources[name].where, adata.obs_names, adata.var_names)
    rng = np.random.default_rng(seed)
    for name, source in sources.items():
        adata = mdata.mod[name]
        rest, part = thinned(source.matrix, held_out, rng)
        keep_original(name, adata, source, adata.X if name in prepare_records(mdata) else rest)
        adata.layers[COUNTS_LAYER], adata.layers[HELD_OUT_LAYER], adata.X = rest, part, rest.copy()
        logger.info(
            "%s: %.0f %% of the counts are set aside in layers[%r]; X holds the others, raw",
            *(name, 100 * held_out, HELD_OUT_LAYER),
        )


def thinned(counts: Matrix, share: float, rng: np.random.Generator) -> tuple[Matrix, Matrix]:
    """What is left of counts, and a random share of them; dense or CSR as given."""
    if not sparse.issparse(counts):
        whole = np.round(np.asarray(counts)).astype(np.int64)
        part = rng.binomial(whole, share)
        return (whole - part).astype(np.float32), part.astype(np.float32)
    csr = canonical(counts)
    whole = np.round(csr.data).astype(np.int64)
    drawn = rng.binomial(whole, share)
    parts = []
    for values in (whole - drawn, drawn):
        part = sparse.csr_matrix((values.astype(np.float32), csr.indices.copy(), csr.indptr.copy()), shape=csr.shape)
        part.eliminate_zeros()
        parts.append(part)
    return parts[0], parts[1]
