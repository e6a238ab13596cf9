"""Tokenizers and treatments where the imbalance of the training labels is imposed."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray
from scipy.special import softmax
from sklearn.metrics import recall_score

from scmoe._keys import IMBALANCE, SPLIT, UNS_ROOT
from scmoe.datasets._imbalance import imbalance, imbalance_total
from scmoe.datasets._profile import profile
from scmoe.metrics._classification import classification_scores
from scmoe.metrics._frequency import recall_slope
from scmoe.model.genes._pretraining import PRETRAIN_BATCH
from scmoe.model.genes._xtrimogene import XTRIMOGENE
from scmoe.pp._augment import augment
from scmoe.pp._resample import oversample, undersample
from scmoe.pp._split import split
from scmoe.readout._softmax import fit_softmax
from scmoe.studies.genes._data import LABEL, log_values, variable_genes
from scmoe.studies.genes._probe import CPU
from scmoe.studies.imbalance._imputed import imputed
from scmoe.studies.imbalance._plan import (
    AUGMENTED,
    EVERYWHERE,
    FULL,
    IMPUTED,
    LINEAR,
    MAIN_RHO,
    MIN_RARE,
    NONE,
    OVER,
    RESAMPLED,
    TREATMENTS,
    UNDER_MIN,
    UNDER_T,
    Size,
    Task,
)

FRACTIONS = (0.7, 0.0, 0.3)
"""Of training, validation and test cells; nothing is selected, so no cells are set aside for it."""
MIN_LABELS = 4
"""Labels that take part at least, even if the largest factors are then impossible."""
SCORES = (
    *("accuracy", "balanced_accuracy", "macro_f1", "tail_f1", "tail_recall", "worst_recall"),
    *("macro_auprc", "ece", "ece_head", "ece_middle", "ece_tail"),
)
Fit = Callable[[AnnData, str], Callable[[AnnData], pd.DataFrame]]
"""Labeled training cells and an option of `class_balance` to a function from cells to probabilities of labels."""


def study_task(task: Task, adata: AnnData) -> dict[str, Any]:
    """Scores of a tokenizer with all treatments and factors.

    Parameters
    ----------
    task
        Its `case` is the tokenizer.
    adata
        Counts, with labels in ``obs["label"]``; missing where there is none.
    """
    size, seed = task.size, task.seed
    train, test = study_split(adata, size, seed)
    labeled = train[train.obs[LABEL].notna()].copy()
    rhos, total = possible_rhos(labeled, size.rhos, seed)
    fit = linear_fit(seed) if task.case == LINEAR else network_fit(task.case, train, size, seed)
    main, rows = min(rhos, key=lambda rho: abs(rho - MAIN_RHO)), []
    for rho in rhos:
        cells = imbalance(labeled, LABEL, rho, n_total=total, order="random", min_cells=MIN_RARE, seed=seed)
        rank = cells.uns[UNS_ROOT][IMBALANCE]["types"].set_index("label")["rank"]
        cells = AnnData(cells.X, obs=cells.obs[[LABEL]].astype(str), var=cells.var)
        for treatment in TREATMENTS:
            if rho == main or treatment in EVERYWHERE:
                more = resampled(cells, treatment, seed, size)
                scores = treated(fit, more, test, treatment, rank, cells.obs[LABEL].value_counts())
                rows.append({"rho": rho, "main": rho == main, "treatment": treatment, **scores})
    return {"rows": rows, "n_total": total, "n_test": test.n_obs, "n_labels": int(labeled.obs[LABEL].nunique())}


def study_split(adata: AnnData, size: Size, seed: int) -> tuple[AnnData, AnnData]:
    """Training cells, labeled or not, and labeled test cells, of the labels that can take any rank."""
    cells = AnnData(adata.X, obs=adata.obs[[LABEL]].fillna("Unknown"), var=pd.DataFrame(index=adata.var_names))
    split(cells, labels_key=LABEL, fractions=FRACTIONS, seed=seed)
    part = cells.obs[SPLIT].to_numpy()
    train, test = cells[part == "train"].copy(), cells[part == "test"].copy()
    genes = variable_genes(train, size.n_genes)
    train, test = train[:, genes].copy(), test[:, genes].copy()
    counts = train.obs[LABEL].value_counts().drop("Unknown", errors="ignore")
    if len(counts) < MIN_LABELS:
        raise ValueError(f"The study needs {MIN_LABELS} labels; found {', '.join(counts.index) or 'none'}.")
    # Each can come to be the most frequent one or the rarest.
    used = counts.index[counts >= min(MIN_RARE * max(size.rhos), counts.iloc[MIN_LABELS - 1])]
    train.obs[LABEL] = train.obs[LABEL].astype(object).where(train.obs[LABEL].isin(used), None)
    tested = np.flatnonzero(test.obs[LABEL].isin(used))
    if len(tested) > size.n_test:
        tested = np.sort(np.random.default_rng(seed).choice(tested, size.n_test, replace=False))
    for subset in (train, test):
        del subset.obs[SPLIT]
    return train, test[tested].copy()


def possible_rhos(labeled: AnnData, rhos: tuple[float, ...], seed: int) -> tuple[list[float], int]:
    """The factors that leave the rarest label enough cells, and the number of cells that all of them have."""
    n_labels, possible = labeled.obs[LABEL].nunique(), list(rhos)
    while True:
        total = imbalance_total(labeled, LABEL, possible, order="random", seed=seed)
        if len(possible) == 1 or profile(n_labels, possible[-1], total).min() >= MIN_RARE:
            return possible, total
        possible.pop()


def network_fit(tokenizer: str, train: AnnData, size: Size, seed: int) -> Fit:
    """Fine-tuning of one network, pretrained on all training cells without their labels."""
    XTRIMOGENE.setup_anndata(train)
    model = XTRIMOGENE(train, seed=seed, tokenizer=tokenizer)
    model.train(max(round(size.n_pretraining * PRETRAIN_BATCH / train.n_obs), 1), train_size=1.0, **CPU)

    def fit(cells: AnnData, option: str) -> Callable[[AnnData], pd.DataFrame]:
        # The same number of steps, however many cells there are after resampling; the last epoch may be cut short.
        epochs = -(-size.n_steps // -(-cells.n_obs // PRETRAIN_BATCH))
        tuned = model.fine_tune(
            LABEL,
            cells,
            class_balance=option,  # type: ignore[arg-type]
            max_epochs=epochs,
            max_steps=size.n_steps,
            seed=seed,
            **CPU,
        )
        return lambda query: pd.DataFrame(tuned.predict(query, soft=True))

    return fit


def linear_fit(seed: int) -> Fit:
    """Softmax regression on log-normalized genes, run until it converges."""

    def fit(cells: AnnData, option: str) -> Callable[[AnnData], pd.DataFrame]:
        x, codes = log_values(cells).toarray().astype(np.float64), cells.obs[LABEL].astype("category").cat
        mean, unit = x.mean(0), np.sqrt(x.var(0).mean())
        slope, start = fit_softmax((x - mean) / unit, codes.codes.to_numpy(int), option, seed)  # type: ignore[arg-type]

        def predict(query: AnnData) -> pd.DataFrame:
            scores = (log_values(query).toarray() - mean) / unit @ slope + start
            return pd.DataFrame(softmax(scores, axis=1), index=query.obs_names, columns=codes.categories)

        return predict

    return fit


def treated(
    fit: Fit, cells: AnnData, test: AnnData, treatment: str, rank: pd.Series, counts: pd.Series
) -> dict[str, float]:
    """Scores on test cells, which keep the frequencies that they have.

    The tail are the same labels at every factor, those of the last ranks: at a factor of 1, how well they are
    recognized while they are not rare.

    Parameters
    ----------
    fit
        Of a tokenizer.
    cells
        Training cells, `resampled`.
    test
        Test cells.
    treatment
        What is done.
    rank, counts
        Of the labels, before they were resampled.
    """
    probability = fit(cells, NONE if treatment in RESAMPLED else treatment)(test)
    return label_scores(test.obs[LABEL].to_numpy(str), probability, counts, frequency=len(rank) - rank)


def resampled(cells: AnnData, treatment: str, seed: int, size: Size = FULL) -> AnnData:
    """Training cells as a treatment changes them; T is the mean number of cells a label."""
    if treatment == OVER:
        return oversample(cells, LABEL, seed=seed)
    if treatment == UNDER_T:
        return undersample(cells, LABEL, threshold=cells.n_obs // cells.obs[LABEL].nunique(), seed=seed)
    if treatment == UNDER_MIN:
        return undersample(cells, LABEL, seed=seed)
    if treatment in AUGMENTED:
        return augment(cells, LABEL, method=AUGMENTED[treatment], seed=seed)
    if treatment == IMPUTED:
        return imputed(cells, LABEL, n_epochs=size.imputation_epochs, seed=seed)
    return cells


def label_scores(
    truth: NDArray[Any],
    probability: pd.DataFrame,
    n_train: Mapping[str, int] | pd.Series,
    frequency: pd.Series | None = None,
) -> dict[str, float]:
    """`SCORES`, and the correlation of recall and training cells; the tail is by `frequency`, or by training cells."""
    names = list(probability.columns.astype(str))
    predicted = np.array(names)[probability.to_numpy().argmax(1)]
    counts = pd.Series(n_train).reindex(names, fill_value=0)
    order = counts if frequency is None else frequency.reindex(names)
    scores = classification_scores(truth, predicted, probability.to_numpy(), labels=names, n_train=order)
    seen = [name for name in names if (truth == name).any()]
    recall = pd.Series(recall_score(truth, predicted, labels=seen, average=None, zero_division=0), index=seen)
    return {name: float(getattr(scores, name)) for name in SCORES} | {
        "recall_slope": recall_slope(recall, counts[seen]),
        "n_rarest": float(counts.min()),
    }
