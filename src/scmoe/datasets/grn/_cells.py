"""A gene-regulatory network and its cells, seen through four modalities."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import partial

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData
from numpy.typing import NDArray
from scipy import sparse

from scmoe._keys import GRN, TRUTH_LAYER
from scmoe.arguments._checked import checks_arguments
from scmoe.datasets.grn._checks import (
    check_shares,
    check_stage_shares,
    find_backbone,
    find_gene,
)
from scmoe.datasets.grn._kinetics import Kinetics, Rates, draw_kinetics, make_rates
from scmoe.datasets.grn._network import build_network
from scmoe.datasets.grn._noise import CAPTURE, DROPOUT, MODALITIES, Noise, draw_present, measure
from scmoe.datasets.grn._shares import cells_with_shares
from scmoe.datasets.grn._simulate import Cells, make_reference, simulate_cells
from scmoe.io._quiet import quiet_mudata
from scmoe.io._uns import to_uns

FEATURE_TYPE = {"dna": "Peaks", "pre": "Gene Expression", "rna": "Gene Expression", "protein": "Antibody Capture"}
"""From which `scmoe.pp.prepare` tells what a modality holds."""


@checks_arguments
def simulate_grn(
    backbone: str = "linear",
    *,
    n_cells: int = 500,
    n_features: int = 100,
    n_batches: int = 1,
    stage_shares: Mapping[str, float] | None = None,
    missing: Mapping[str, float] | None = None,
    knock_out: str | Sequence[str] | None = None,
    rates: Mapping[str, float] | None = None,
    capture: Mapping[str, float] | None = None,
    dropout: Mapping[str, float] | None = None,
    depth_sd: float = 0.3,
    batch_sd: float = 0.3,
    seed: int = 0,
) -> MuData:
    r"""Simulate promoters, pre-mRNA, mRNA and proteins of cells that a network of genes moves through stages.

    The model follows dyngen :cite:p:`cannoodt2021`. Modules of two transcription factors form the backbone; other genes
    have one to three of these as regulators, or none (housekeeping). A regulator with y proteins is bound for the share
    :math:`h = y^n / (K^n + y^n)` of the time. Each of a gene's two promoters is open for the share

    .. math:: p = (b + (1 - b) \cdot \operatorname{mean}_a h_a) \prod_r (1 - h_r)

    of the time, over activators a and repressors r, with b = 0.02; without activators the first factor is 1. Numbers
    of open promoters D, pre-mRNA W, mRNA X and proteins Y follow these reactions, by binomial tau-leaping
    :cite:p:`tian2004`:

    ==============  ====================================  ==============================
    reaction        change                                rate (default, per hour)
    ==============  ====================================  ==============================
    opening         D + 1                                 switching (0.2) p (2 - D)
    closing         D - 1                                 switching (1 - p) D
    transcription   W + 1                                 transcription (5) D / 2
    splicing        W - 1, X + 1                          splicing (ln 2 / 2) W
    decay           X - 1                                 rna_decay (ln 2 / 3.5) X
    translation     Y + 1                                 translation (1) X
    decay           Y - 1                                 protein_decay (ln 2 / 7) Y
    ==============  ====================================  ==============================

    All transcription factors have these rates, so no branch is favored; other genes have log-normal factors (sd 0.3).

    Every cell is the end of a trajectory of its own, which stops at a random time. Its ``stage`` and ``pseudotime``
    are those of the nearest point, by proteins of the transcription factors, on the trajectory without noise. There,
    a stage begins when its first module rises through half of its range.

    Backbones: "linear" has stages A to F; "bifurcating" A and B, and then C or D, as noise decides; "cyclic" A, B, C,
    A; "disconnected" two kinds of cells, A to C or D to F, without common regulators.

    Parameters
    ----------
    backbone
        "linear", "bifurcating", "cyclic" or "disconnected".
    n_cells
        Number of cells.
    n_features
        Number of genes, each a feature of every modality; 12 (cyclic) to 24 (disconnected) at least.
    n_batches
        Batches of equal size. With more than one, each has its own factor on the capture of every feature.
    stage_shares
        Exact share of the cells for some stages, such as ``{"C": 0.02}`` for a rare one; the others come as they do.
    missing
        By modality, share of the cells that lack it, such as ``{"protein": 0.5}``. Every cell keeps at least one
        modality.
    knock_out
        Gene, or genes, without transcription, as in ``uns["grn"]["genes"]``. With the same seed, the network is the
        same as without.
    rates
        Some of the rates above, per hour.
    capture
        By modality, share of the molecules that are counted on average; default dna 0.2, pre 0.06, rna 0.1, protein
        0.015.
    dropout
        By modality, share of the values that are lost whatever they are; default dna and protein 0.1, pre and rna 0.2.
    depth_sd
        Standard deviation of the logarithm of a cell's factor on the capture, which each modality has for itself.
    batch_sd
        Standard deviation of the logarithm of the batches' factors.
    seed
        Of everything: the same arguments give the same data.

    Returns
    -------
    MuData
        Modalities ``dna`` (open promoters), ``pre``, ``rna`` and ``protein`` with raw counts (CSR, float32), features
        named such as ``rna:A1_TF1``, and ``layers["truth"]``, the molecules in the cell. ``var``: ``gene``, ``role``,
        ``module`` and ``feature_types``, from which `scmoe.pp.prepare` takes dna for peaks, pre and rna for RNA, and
        protein for proteins. ``obs``: ``stage``, ``pseudotime`` (0 to 1), ``hours`` simulated, ``batch``.
        ``uns["grn"]``: ``edges`` (``regulator``, ``target``, ``sign``, ``strength``, ``hill``, ``threshold`` K in
        proteins), ``genes`` (``gene``, ``role``, ``module`` and rates), and ``backbone``, ``knock_out`` and ``seed``.

    Raises
    ------
    ValueError
        An argument is impossible (the message says which, what was found and what to do), the rates are so far apart
        that the simulation would take too long, or a stage that is asked for is hardly ever reached.

    Notes
    -----
    The default noise leaves the stages of "linear" partly recoverable. On five seeds (500 cells, after
    `scmoe.pp.prepare`), k-means on 50 principal components of each modality had an ARI of 0.38 (dna), 0.45 (pre), 0.56
    (rna), 0.60 (protein) and 0.60 (all four; 0.57 to 0.66 by seed). In cross-validation, ridge regression on these
    explained 0.76, 0.85, 0.92, 0.91 and, from all four, 0.95 of the variance of pseudotime. From one modality to
    another it explained 0.12 of that of a feature on average (Pearson correlation 0.33). Stages are unequal pieces of
    a continuous path: on all molecules without noise, k-means has an ARI of 0.64. So more modalities show in
    pseudotime rather than in clusters. The data take 2 s on one thread.

    Examples
    --------
    >>> import scmoe
    >>> mdata = scmoe.datasets.simulate_grn("bifurcating", n_cells=60, n_features=40)
    >>> mdata.shape
    (60, 160)
    """
    plan = find_backbone(backbone)
    if n_batches > n_cells:
        raise ValueError(f"n_batches must be at most {n_cells}, the number of cells; found {n_batches}.")
    check_stage_shares(stage_shares or {}, plan.stages)
    check_shares("missing", missing or {}, MODALITIES)
    noise = _noise(capture or {}, dropout or {}, depth_sd, batch_sd)
    of_network, of_cells, of_noise, of_missing = map(np.random.default_rng, np.random.SeedSequence(seed).spawn(4))
    network = build_network(plan, n_features, of_network)
    kinetics = draw_kinetics(network, make_rates(rates or {}), of_network)
    without = [knock_out] if isinstance(knock_out, str) else list(knock_out or ())
    knocked_out = [find_gene(gene, network.genes["gene"].tolist()) for gene in without]
    present = draw_present(missing or {}, n_cells, of_missing)
    reference = make_reference(plan, kinetics)
    simulate = partial(simulate_cells, plan, kinetics, reference, n_cells, of_cells, knocked_out)
    cells = cells_with_shares(simulate, n_cells, stage_shares or {}, of_cells)
    batch = of_noise.permutation(np.arange(n_cells) % n_batches)
    mdata = _to_mudata(cells, kinetics, batch, present, noise, of_noise)
    settings = {"backbone": backbone, "knock_out": "+".join(without) or "none", "seed": seed}
    mdata.uns[GRN] = to_uns({"edges": _edges(kinetics), "genes": _genes(kinetics), **settings})
    return mdata


def _noise(capture: Mapping[str, float], dropout: Mapping[str, float], depth_sd: float, batch_sd: float) -> Noise:
    for argument, shares in (("capture", capture), ("dropout", dropout)):
        check_shares(argument, shares, MODALITIES)
    return Noise(capture={**CAPTURE, **capture}, dropout={**DROPOUT, **dropout}, depth_sd=depth_sd, batch_sd=batch_sd)


def _to_mudata(
    cells: Cells,
    kinetics: Kinetics,
    batch: NDArray[np.integer],
    present: Mapping[str, NDArray[np.bool_]],
    noise: Noise,
    rng: np.random.Generator,
) -> MuData:
    names = pd.Index([f"cell{i}" for i in range(len(batch))])
    obs = pd.DataFrame(
        {
            "stage": pd.Categorical(cells.stage),
            "pseudotime": cells.pseudotime,
            "hours": cells.hours,
            "batch": pd.Categorical([f"batch{i + 1}" for i in batch]),
        },
        index=names,
    )
    parts = {}
    for modality, molecules in zip(MODALITIES, cells.state, strict=True):
        counts = measure(molecules, modality, batch, noise, rng)
        var = kinetics.network.genes.assign(feature_types=FEATURE_TYPE[modality])
        var.index = pd.Index([f"{modality}:{gene}" for gene in var["gene"]])
        adata = AnnData(sparse.csr_matrix(counts.astype(np.float32)), obs=pd.DataFrame(index=names), var=var)
        adata.layers[TRUTH_LAYER] = molecules.astype(np.float32)
        parts[modality] = adata[present[modality]].copy()
    with quiet_mudata():
        mdata = MuData(parts)
    mdata.obs = obs.loc[mdata.obs_names]
    return mdata


def _edges(kinetics: Kinetics) -> pd.DataFrame:
    network, gene = kinetics.network, kinetics.network.genes["gene"].to_numpy()
    return pd.DataFrame(
        {
            "regulator": gene[network.regulator],
            "target": gene[network.target],
            "sign": network.sign,
            "strength": network.strength,
            "hill": network.hill,
            "threshold": kinetics.threshold,
        }
    )


def _genes(kinetics: Kinetics) -> pd.DataFrame:
    rates = {field.name: getattr(kinetics, field.name) for field in fields(Rates)}
    return kinetics.network.genes.assign(**rates)
