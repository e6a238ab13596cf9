import numpy as np
import pytest

from scmoe.studies.replicate._scores import group_scores, kmeans_clusters, off_diagonal_mean, r2_matrix


def test_group_scores_are_those_of_the_worked_example():
    scores = group_scores(list("0001112222"), [list("2200011111")])
    assert scores == pytest.approx({"ari": 0.46043, "nmi": 0.61174, "accuracy": 0.8}, abs=1e-5)


def test_group_scores_are_means_over_clusterings():
    scores = group_scores([0, 0, 1, 1], [[1, 1, 0, 0], [0, 0, 0, 0]])
    assert scores == pytest.approx({"ari": 0.5, "nmi": 0.5, "accuracy": 0.75})


def test_clusters_of_test_cells_come_from_centers_of_training_cells():
    train = np.array([[0.0], [0.1], [10.0], [10.1]])
    for clusters in kmeans_clusters(train, np.array([[0.05], [4.0], [9.0]]), 2):
        assert clusters[0] == clusters[1] != clusters[2]


def test_r2_by_target_and_source_without_constant_features():
    first, second = np.array([[0.0, 1.0], [1.0, 1.0], [2.0, 1.0]]), np.array([[1.0], [2.0], [6.0]])
    matrix, dropped = r2_matrix([first, second], {(0, 1): first + [[0, 9]], (1, 0): np.full((3, 1), 3.0)})
    assert matrix == [[None, 1.0], [0.0, None]]
    assert dropped == [1, 0]


def test_upper_triangle_never_has_the_last_modality_as_target():
    matrix = [[9.0, 0.1, 0.2], [0.5, 9.0, 0.6], [0.7, None, 9.0]]
    assert off_diagonal_mean(matrix, upper=True) == pytest.approx(0.3)
    assert off_diagonal_mean(matrix, upper=False) == pytest.approx(0.42)
    assert off_diagonal_mean([[1.0, None], [None, 1.0]], upper=False) is None
