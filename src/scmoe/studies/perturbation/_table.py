"""`perturbation_table`: how well features of genes predict the response to perturbations that were never seen."""

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from scmoe.arguments._checked import checks_arguments
from scmoe.studies.perturbation._baselines import (
    CONDITION,
    CONTROL,
    additive_response,
    check_features,
    response_scores,
    responses,
    ridge_response,
)
from scmoe.studies.perturbation._gears_response import check_gears, gears_response

N_FOLDS = 5
SCORES = ("mse", "pearson", "mse_top", "pearson_top")


@checks_arguments
def perturbation_table(
    gene_features: Mapping[str, NDArray[np.floating]], screen: AnnData, *, seed: int = 0, gears: bool = False
) -> pd.DataFrame:
    """Predict the response to left-out perturbations from features of genes, beside baselines and random features.

    In each of 5 folds, a fifth of the perturbed genes is unseen, alone and in pairs, and so is a fifth of the pairs of
    other genes. The methods are "no change"; "mean", of the known responses; "additive", the sum of known responses to
    the genes alone; "ridge, NAME" by `ridge_response` for each of the features; and "ridge, random WIDTH" with normal
    random numbers of the same width, which know nothing of genes.

    Parameters
    ----------
    gene_features
        By name, (genes, k) in the order of ``screen.var_names``. Rows of genes that nothing perturbs may be NaN.
    screen
        Counts and ``obs["condition"]``: "ctrl", "A+ctrl" or "A+B".
    seed
        Of folds and random features.
    gears
        Whether GEARS predicts too: "GEARS", with correlations in control cells in place of gene ontology. It needs
        ``cell-gears``, ``torch-geometric`` and ``scipy<1.15``, and minutes a fold.

    Returns
    -------
    One row for each method and left-out perturbation: ``method``, ``condition``, ``setting`` ("single", or "double, n
    seen" with n of its genes known alone), and the scores over genes ``mse``, ``pearson`` and, over the 20 genes that
    change most, ``mse_top`` and ``pearson_top``. Perturbed genes are neither scored nor learned from: that a
    knocked-out gene is absent is no response. A pair is left out in up to three folds, and has a row for each.

    Raises
    ------
    ModuleNotFoundError
        GEARS is asked for and not installed.
    ValueError
        The screen is unusable (the message says why), it has fewer than 5 perturbed genes, or features do not fit its
        genes.

    Examples
    --------
    >>> import anndata as ad
    >>> rng = np.random.default_rng(0)
    >>> conditions = ["ctrl", *(f"g{i}+ctrl" for i in range(6))]
    >>> screen = ad.AnnData(rng.poisson(5.0, (70, 8)).astype("float32"))
    >>> screen.var_names = [f"g{i}" for i in range(8)]
    >>> screen.obs["condition"] = np.repeat(conditions, 10)
    >>> table = scmoe.studies.perturbation_table({"mine": rng.normal(size=(8, 4))}, screen)
    >>> "ridge, mine" in set(table["method"])
    True
    """
    if gears:
        check_gears()
    known = responses(screen)
    names, condition = np.array(known.name), screen.obs[CONDITION].astype(str)
    hit = np.asarray(known.perturbed.any(axis=0))
    if hit.sum() < N_FOLDS:
        raise ValueError(f"At least {N_FOLDS} genes must be perturbed, to leave some out; found {hit.sum()}.")
    of_folds, of_features = map(np.random.default_rng, np.random.SeedSequence(seed).spawn(2))
    features = {f"ridge, {name}": _filled(name, x, screen.var_names, hit) for name, x in gene_features.items()}
    for width in sorted({x.shape[1] for x in features.values()}):
        features[f"ridge, random {width}"] = of_features.normal(size=(screen.n_vars, width))
    tables = []
    for test in _folds(known.perturbed, of_folds):
        given = known.perturbed[~test], _of_others(known.perturbed[~test], known.change[~test])
        unseen, truth = known.perturbed[test], known.change[test]
        predicted = {
            "no change": np.zeros_like(truth),
            "mean": np.broadcast_to(given[1].mean(axis=0), truth.shape),
            "additive": additive_response(*given, unseen),
            **{name: ridge_response(x, *given, unseen) for name, x in features.items()},
        }
        if gears:
            seen = screen[condition.isin([CONTROL, *names[~test]]).to_numpy()].copy()
            predicted["GEARS"] = gears_response(seen, list(names[test]), seed)
        rows = pd.DataFrame({"condition": names[test], "setting": _settings(given[0], unseen)})
        tables += [rows.assign(method=name, **response_scores(truth, x, unseen)) for name, x in predicted.items()]
    return pd.concat(tables, ignore_index=True)[["method", "condition", "setting", *SCORES]]


def _filled(name: str, features: NDArray[np.floating], genes: pd.Index, hit: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Features, with the mean of their column for genes that nothing perturbs: these matter for the scale alone."""
    checked = check_features(name, features, genes, hit)
    return np.where(np.isfinite(checked), checked, np.nanmean(checked, axis=0))


def _folds(perturbed: NDArray[np.bool_], rng: np.random.Generator) -> Iterable[NDArray[np.bool_]]:
    """Which perturbations are left out: all with a gene of the fold, and pairs of the fold."""
    hit = np.flatnonzero(perturbed.any(axis=0))
    of_gene = np.full(perturbed.shape[1], -1)
    of_gene[hit] = rng.permutation(np.arange(len(hit)) % N_FOLDS)
    paired = perturbed.sum(axis=1) > 1
    of_pair = np.where(paired, rng.permutation(np.arange(len(perturbed)) % N_FOLDS), -1)
    return ((perturbed & (of_gene == fold)).any(axis=1) | (of_pair == fold) for fold in range(N_FOLDS))


def _of_others(perturbed: NDArray[np.bool_], change: NDArray[np.floating]) -> NDArray[np.float64]:
    """Changes, with a perturbed gene's own one replaced by its mean over the other perturbations.

    The absence of a knocked-out gene is far larger than any response, and would teach that this gene always falls.
    """
    others = np.where(perturbed, np.nan, change)
    return np.where(perturbed, np.nanmean(others, axis=0), change)


def _settings(perturbed: NDArray[np.bool_], unseen: NDArray[np.bool_]) -> list[str]:
    alone = perturbed[perturbed.sum(axis=1) == 1].any(axis=0)
    seen = (unseen & alone).sum(axis=1)
    return ["single" if n == 1 else f"double, {k} seen" for n, k in zip(unseen.sum(axis=1), seen, strict=True)]
