import numpy as np
import pytest
import torch
from torch.nn import functional as F

from scmoe.losses._class_balance import Balance
from scmoe.losses._labels import LOSSES, label_loss


@pytest.mark.parametrize("option", LOSSES)
def test_it_is_the_mean_over_labeled_cells_of_labels_that_training_cells_have(option):
    rng = np.random.default_rng(0)
    codes = np.array([3, 3, 3, 1, 1, 4, -1])  # of five labels, of which two have no cell
    logits, label = torch.from_numpy(rng.normal(size=(6, 5))), torch.tensor([1, -1, 4, 3, -1, 3])
    balance, rows, place = Balance(option, np.array([2, 3, 1])), [0, 2, 3, 5], {1: 0, 3: 1, 4: 2}
    each = [balance.losses(logits[[i]][:, [1, 3, 4]], torch.tensor([place[int(label[i])]])).item() for i in rows]
    assert label_loss(codes, option)(logits, label).item() == pytest.approx(np.mean(each))


def test_without_balance_it_is_cross_entropy():
    logits, label = torch.randn(5, 3, generator=torch.manual_seed(0)), torch.tensor([0, 2, -1, 1, -1])
    found = label_loss(np.arange(3), "none")(logits, label)
    torch.testing.assert_close(found, F.cross_entropy(logits, label, ignore_index=-1))


def test_a_batch_without_labels_has_no_loss_and_no_gradient():
    logits = torch.randn(4, 3, requires_grad=True)
    loss = label_loss(np.arange(3), "inverse")(logits, torch.full((4,), -1))
    loss.backward()
    assert loss == 0 and not logits.grad.any()
