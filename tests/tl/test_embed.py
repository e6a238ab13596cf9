import numpy as np

import scmoe


def test_writes_the_joint_state_and_that_of_each_modality(mosaic, trained_mosaic, contents, written):
    before = contents(mosaic)
    scmoe.tl.embed(mosaic, trained_mosaic, key_added="a")
    assert written(before, mosaic) == {"obsm/X_a", "mod/rna/obsm/X_a", "mod/adt/obsm/X_a", "mod/ephys/obsm/X_a"}


def test_rows_belong_to_their_cells(paired, trained):
    scmoe.tl.embed(paired, trained)
    for name in paired.mod:
        state = trained.get_latent_representation(paired, modality=name)
        for i, cell in enumerate(paired[name].obs_names):
            row = list(paired.obs_names).index(cell)
            np.testing.assert_array_equal(paired[name].obsm["X_scmoe"][i], state[row])


def test_a_query_without_a_modality(single, trained):
    scmoe.tl.embed(single, trained)
    np.testing.assert_allclose(single.obsm["X_scmoe"], single["rna"].obsm["X_scmoe"], rtol=1e-5)
