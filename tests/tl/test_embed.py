import numpy as np

import scmoe


def test_writes_the_joint_embedding_and_the_state_of_each_modality(mosaic, trained_mosaic, contents, written):
    before = contents(mosaic)
    scmoe.tl.embed(mosaic, trained_mosaic, key_added="a")
    expected = {f"mod/{name}/obsm/{key}" for name in mosaic.mod for key in ("X_a", "a_state")}
    assert written(before, mosaic) == {"obsm/X_a", *expected}


def test_rows_belong_to_their_cells(paired, trained):
    scmoe.tl.embed(paired, trained)
    for name in paired.mod:
        rows = paired.obs_names.get_indexer(paired[name].obs_names)
        state = trained.get_latent_representation(paired, modality=name)
        np.testing.assert_array_equal(paired[name].obsm["scmoe_state"], state[rows])
        np.testing.assert_array_equal(paired[name].obsm["X_scmoe"], paired.obsm["X_scmoe"][rows])


def test_a_query_without_a_modality(single, trained):
    scmoe.tl.embed(single, trained)
    np.testing.assert_array_equal(single.obsm["X_scmoe"], trained.get_latent_representation(single))
    np.testing.assert_array_equal(
        single["rna"].obsm["scmoe_state"], trained.get_latent_representation(single, modality="rna")
    )


def test_a_model_with_labels_writes_a_labeled_embedding_as_well(paired, trained, contents, written):
    before = contents(paired)
    scmoe.tl.embed(paired, trained, key_added="a")
    assert written(before, paired) == {
        f"{part}obsm/{key}" for part in ("", "mod/rna/", "mod/adt/") for key in ("X_a", "X_a_labeled")
    } | {"mod/rna/obsm/a_state", "mod/adt/obsm/a_state"}
    labeled = paired.obsm["X_a_labeled"]
    np.testing.assert_array_equal(labeled, trained.get_latent_representation(paired, labeled=True))
    np.testing.assert_array_equal(labeled[:, :16], paired.obsm["X_a"])


def test_no_label_shapes_embedding_and_clusters(fresh, tl_train):
    plain, labeled = fresh("paired"), fresh("paired")
    tl_train(plain)
    tl_train(labeled, labels_key="cell_type")
    np.testing.assert_array_equal(labeled.obsm["X_scmoe"], plain.obsm["X_scmoe"])
    assert list(labeled.obs["scmoe_cluster"]) == list(plain.obs["scmoe_cluster"])
