"""Labels by the head of a network that has learned them: the supervised group identification of the scMoE paper."""

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from mudata import MuData

from scmoe._align import Indices
from scmoe._log import logger
from scmoe.arguments._checked import checks_arguments
from scmoe.data._dataset import MosaicDataset
from scmoe.data._setup import Setup
from scmoe.losses._class_balance import DEFAULT_BALANCE, ClassBalance
from scmoe.losses._labels import LOSSES, LabelLoss, label_loss
from scmoe.model._features import to_numpy
from scmoe.model._fitted import BATCH_SIZE, Fitted, FittedModel, query
from scmoe.model._labels import as_names
from scmoe.nn._config import NetworkConfig
from scmoe.nn._network import Network
from scmoe.readout._annotator import choose_temperature, temper

NOT_LEARNED = (
    "No label has shaped this network. Give labels a weight when the model is made, as in SCMOE(mdata, "
    "label_weight=1) or scmoe.tl.train(mdata, labels_key=..., label_weight=1); or call predict(), which reads labels "
    "off a network that has not seen them."
)


@checks_arguments
@torch.no_grad()
def predict_supervised(
    self: FittedModel,
    adata: MuData | AnnData | None = None,
    indices: Indices | None = None,
    soft: bool = False,
    batch_size: int = BATCH_SIZE,
) -> np.ndarray | pd.DataFrame:
    """Labels of the cells, by the network's own head.

    For models with a `label_weight` (see `scmoe.model.NetworkConfig`), whose network has learned the labels of the
    training cells. Its embedding has seen them too: a score of types in it says nothing of training cells. `predict`
    reads labels off features of the same cells that no label has shaped; compare the two on cells held out.

    Parameters
    ----------
    adata, indices
        Which cells; their own labels are not looked at.
    soft
        Whether to return probabilities. One temperature, chosen by the labeled validation cells, makes them as sure as
        they are right.
    batch_size
        Cells at once.

    Returns
    -------
    numpy.ndarray or pandas.DataFrame
        The most probable label of each cell, or (cells, labels) probabilities; 0 for labels without a training cell.

    Raises
    ------
    ValueError
        The model was trained without labels, or they had no weight.

    Notes
    -----
    scMoE paper, section 3.2: the cross-entropy of labels in place of the clustering loss.

    Examples
    --------
    >>> import scmoe
    >>> mdata = scmoe.datasets.bmmc_cite()
    >>> scmoe.pp.prepare(mdata)
    >>> model = scmoe.tl.train(mdata, labels_key="cell_type", label_weight=1)
    >>> labels = model.predict_supervised()
    """
    names = self.fitted.labels()
    if not self.config.label_weight:
        raise ValueError(NOT_LEARNED)
    fitted, dataset, cells = query(self, adata, indices)
    out = supervised_probabilities(fitted, dataset, cells, batch_size)
    return as_names(out, dataset.obs_names[cells], names, soft=soft)


def supervised_probabilities(
    fitted: Fitted, dataset: MosaicDataset, cells: np.ndarray, batch_size: int = BATCH_SIZE
) -> np.ndarray:
    """Probabilities (n, labels) of the head, calibrated."""
    out = np.empty((len(cells), len(fitted.setup.labels)), np.float32)
    for chunk in fitted.encode(dataset, cells, batch_size, loadings="trained"):
        out[chunk.rows] = to_numpy(fitted.network.label_logits(chunk.encoded.joint).softmax(1))
    present = fitted.network.has_label.cpu().numpy()
    out[:, present] = temper(out[:, present].astype(np.float64), fitted.readouts.label_temperature)
    return out


def fit_label_temperature(fitted: Fitted, dataset: MosaicDataset, validation: np.ndarray) -> float:
    """The temperature of least log-loss in validation cells whose label a training cell has too; 1 without any."""
    present = np.flatnonzero(fitted.network.has_label.cpu().numpy())
    cells = validation[np.isin(dataset.label[validation], present)]
    if not len(cells):
        logger.warning(
            "No validation cell has a label that was learned, so that probabilities of the network's own head are not "
            "calibrated and likely too sure. Lower train_size, or label more cells"
        )
        return 1.0
    probability = supervised_probabilities(fitted, dataset, cells)[:, present].astype(np.float64)
    return choose_temperature(probability, np.searchsorted(present, dataset.label[cells]))


def check_label_weight(config: NetworkConfig, setup: Setup) -> None:
    """Raise if labels that are not there have a weight."""
    if config.label_weight and not setup.labels:
        raise ValueError(
            f"label_weight={config.label_weight:g} needs labels. Name their column: labels_key=..., or leave "
            "label_weight out."
        )


def learned_labels(
    config: NetworkConfig, codes: np.ndarray, class_balance: ClassBalance = DEFAULT_BALANCE
) -> LabelLoss | None:
    """The loss of the training cells' labels (n,); None if they have no weight.

    Raises
    ------
    ValueError
        `class_balance` is not a matter of the loss.
    """
    if not config.label_weight:
        return None
    if class_balance not in LOSSES:
        raise ValueError(
            f"With a label_weight, class_balance must be one of {', '.join(LOSSES)}; found {class_balance!r}, which "
            "also changes how cells are drawn or when they count."
        )
    return label_loss(codes, class_balance)


def set_labels(network: Network, present: torch.Tensor) -> None:
    """Tell a network which labels training cells have."""
    network.has_label.fill_(False)
    network.has_label[present] = True
