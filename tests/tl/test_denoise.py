import numpy as np
import pandas as pd
import pytest

import scmoe
from scmoe.io._quiet import quiet_mudata


def test_writes_one_layer(mosaic, trained_mosaic, contents, written):
    before = contents(mosaic)
    scmoe.tl.denoise(mosaic, trained_mosaic, modality="adt", key_added="a")
    assert written(before, mosaic) == {"mod/adt/layers/a_denoised"}


def test_rows_and_columns_are_those_of_the_modality(paired, trained):
    adt = paired["adt"][::-1, np.random.default_rng(0).permutation(12)].copy()
    adt.var_names = ["other", *adt.var_names[1:]]
    paired.mod["adt"] = adt
    with quiet_mudata():
        paired.update()
    scmoe.tl.denoise(paired, trained, modality="adt")
    values = trained.get_normalized("adt", paired)
    frame = pd.DataFrame(values, index=paired.obs_names, columns=trained.feature_names["adt"])
    layer = paired["adt"].layers["scmoe_denoised"]
    np.testing.assert_array_equal(layer[:, 1:], frame.loc[adt.obs_names, adt.var_names[1:]])
    assert np.isnan(layer[:, 0]).all()


def test_cells_can_be_decoded_as_of_another_batch(paired, trained):
    scmoe.tl.denoise(paired, trained, modality="rna", transform_batch="donor1")
    expected = trained.get_normalized("rna", paired, transform_batch="donor1")
    rows = paired.obs_names.get_indexer(paired["rna"].obs_names)
    np.testing.assert_array_equal(paired["rna"].layers["scmoe_denoised"], expected[rows])


@pytest.mark.parametrize("kind", ["bool", "int64", "float64", "category", "string"])
def test_batches_are_named_as_their_column_holds_them(paired, fit_model, kind):
    paired.obs["treated"] = (paired.obs["batch"] == "donor1").astype(int).astype(kind)
    model = fit_model(paired, setup={"batch_key": "treated"})
    batches = paired.obs["treated"].unique()
    both = model.get_normalized("rna", paired, transform_batch=batches)
    single = [model.get_normalized("rna", paired, transform_batch=batch) for batch in batches]
    np.testing.assert_allclose(both, np.mean(single, axis=0), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("modality", "batch", "match"),
    [
        ("adt", None, "The MuData has no modality 'adt', so there is nothing to denoise; it has rna"),
        ("atac", None, "no modality 'atac'; it has rna, adt"),
        ("rna", "donor9", "no batch 'donor9'"),
    ],
)
def test_what_cannot_be_denoised_is_refused(single, trained, contents, modality, batch, match):
    before = contents(single)
    with pytest.raises(KeyError, match=match):
        scmoe.tl.denoise(single, trained, modality=modality, transform_batch=batch)
    assert contents(single) == before
