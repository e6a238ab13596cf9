import numpy as np
import pandas as pd

from scmoe.explain.concepts._adjust import adjust


def table(p, accuracy_p=0.0, **columns):
    return pd.DataFrame({"p": p, "cav_accuracy_p": accuracy_p, **columns})


def test_holm_against_numbers_by_hand():
    adjusted = adjust(table([0.01, 0.04, 0.03, 0.005]))
    np.testing.assert_allclose(adjusted["p_adjusted"], [0.03, 0.06, 0.06, 0.02])
    assert adjusted["significant"].tolist() == [True, False, False, True]


def test_bonferroni_multiplies_by_the_number_of_tests():
    np.testing.assert_allclose(adjust(table([0.01, 0.4, 0.03]), "bonferroni")["p_adjusted"], [0.03, 1, 0.09])


def test_a_concept_that_cannot_be_told_from_chance_is_not_significant():
    assert not adjust(table([0.001], accuracy_p=0.2))["significant"].any()


def test_random_sets_of_genes_count_where_there_are_some():
    found = adjust(table([0.001, 0.001, 0.001], p_matched=[0.02, 0.3, np.nan]))
    assert found["significant"].tolist() == [True, False, True]
