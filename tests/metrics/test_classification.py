import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score, recall_score

from scmoe.metrics import classification_scores
from scmoe.metrics._calibration import calibration_error

LABELS = [f"t{i}" for i in range(7)]
SEEN = LABELS[:6]
N_TRAIN = {name: 10 * 2**i for i, name in enumerate(LABELS)}


@pytest.fixture
def cells() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """True and predicted labels and probabilities; "t6" is in no cell, "t1" never predicted."""
    rng = np.random.default_rng(0)
    truth = rng.choice(SEEN, 300)
    probability = rng.dirichlet(np.ones(7), 300)
    probability[np.arange(300), [LABELS.index(name) for name in truth]] += 0.3
    probability[:, 1] *= 0.05
    probability /= probability.sum(axis=1, keepdims=True)
    return truth, np.array(LABELS)[probability.argmax(axis=1)], probability


def test_as_of_scikit_learn_on_an_explicit_list_of_labels(cells):
    truth, predicted, probability = cells
    scores = classification_scores(truth, predicted, probability, labels=LABELS, n_train=N_TRAIN)
    f1 = f1_score(truth, predicted, labels=SEEN, average=None, zero_division=0)
    recall = recall_score(truth, predicted, labels=SEEN, average=None)
    assert "t1" not in predicted and f1[1] == 0
    assert scores.accuracy == pytest.approx((truth == predicted).mean())
    assert scores.macro_f1 == pytest.approx(f1.mean())
    assert scores.balanced_accuracy == pytest.approx(recall.mean())
    assert (scores.worst_label, scores.worst_recall) == ("t1", 0)
    assert scores.tail_f1 == pytest.approx(f1[:3].mean()) and scores.tail_recall == pytest.approx(recall[:3].mean())
    auprc = [average_precision_score(truth == name, probability[:, i]) for i, name in enumerate(SEEN)]
    assert scores.macro_auprc == pytest.approx(np.mean(auprc))
    assert scores.absent == ("t6",)


def test_order_of_labels_does_not_matter(cells):
    truth, predicted, probability = cells
    order = np.random.default_rng(1).permutation(7)
    first = classification_scores(truth, predicted, probability, labels=LABELS, n_train=N_TRAIN)
    other = classification_scores(
        truth, predicted, probability[:, order], labels=[LABELS[i] for i in order], n_train=N_TRAIN
    )
    assert first[:4] == pytest.approx(other[:4]) and first[5:12] == pytest.approx(other[5:12])


def test_labels_that_only_the_list_has_change_nothing_but_absent(cells):
    truth, predicted, _ = cells
    first = classification_scores(truth, predicted, labels=LABELS)
    more = classification_scores(truth, predicted, labels=[*LABELS, "t7"])
    assert first.macro_f1 == more.macro_f1 and more.absent == ("t6", "t7")


def test_calibration_errors_are_of_the_groups_cells(cells):
    truth, predicted, probability = cells
    scores = classification_scores(truth, predicted, probability, labels=LABELS, n_train=N_TRAIN)
    right, confidence = truth == predicted, probability.max(axis=1)
    groups = {"head": ["t5"], "middle": ["t3", "t4"], "tail": SEEN[:3]}
    for group, names in groups.items():
        mine = np.isin(truth, names)
        assert getattr(scores, f"ece_{group}") == pytest.approx(calibration_error(confidence[mine], right[mine]))
    assert scores.ece == pytest.approx(calibration_error(confidence, right))


def test_declined_cells_count_as_wrong_and_claim_nothing(cells):
    truth, predicted, probability = cells
    declined = np.where(np.arange(300) < 100, "Unknown", predicted)
    scores = classification_scores(truth, declined, probability, labels=LABELS, n_train=N_TRAIN)
    assert scores.n_unknown == 100
    assert scores.accuracy == pytest.approx((truth == predicted)[100:].sum() / 300)
    rest = classification_scores(truth[100:], predicted[100:], probability[100:], labels=LABELS)
    assert scores.ece == pytest.approx(rest.ece)


def test_what_was_not_asked_for_is_nan(cells):
    truth, predicted, _ = cells
    scores = classification_scores(truth, predicted, labels=LABELS)
    missing = ("tail_recall", "tail_f1", "macro_auprc", "ece", "ece_head", "ece_middle", "ece_tail")
    assert all(np.isnan(getattr(scores, name)) for name in missing)


def test_a_label_that_only_test_cells_have_is_in_the_tail():
    n_train = {"B": 50, "T": 40, "pDC": 0}
    scores = classification_scores(["B", "T", "pDC"], ["B", "T", "B"], labels=["B", "T", "pDC"], n_train=n_train)
    assert scores.tail_recall == 0 and scores.worst_label == "pDC"
