import mudata
import numpy as np
import pandas as pd
import pytest

import scmoe
from scmoe._io import quiet_mudata


def test_writes_label_confidence_and_probabilities(paired, trained, contents, written):
    before = contents(paired)
    scmoe.tl.annotate(paired, trained, key_added="a")
    assert written(before, paired) == {"obs/a_label", "obs/a_label_confidence", "obsm/a_label_probability"}


def test_the_three_agree(paired, trained):
    scmoe.tl.annotate(paired, trained)
    probability = paired.obsm["scmoe_label_probability"]
    assert isinstance(probability, pd.DataFrame) and list(probability.columns) == ["B", "NK", "T"]
    assert list(probability.index) == list(paired.obs_names)
    np.testing.assert_array_equal(probability.idxmax(axis=1), paired.obs["scmoe_label"])
    np.testing.assert_array_equal(probability.max(axis=1), paired.obs["scmoe_label_confidence"])
    assert list(paired.obs["scmoe_label"].cat.categories) == ["B", "NK", "T"]


def test_a_query_without_labels_is_labeled(single, trained):
    truth = single.obs.pop("cell_type")
    scmoe.tl.annotate(single, trained)
    assert (single.obs["scmoe_label"].astype(str) == truth.astype(str)).mean() > 0.9


def test_cells_without_a_label_get_one(paired, fit_model):
    truth = paired.obs["cell_type"].astype(str)
    paired.obs["partly"] = truth.where(np.arange(120) % 2 == 0, "Unknown")
    model = fit_model(paired, setup={"labels_key": "partly"}, max_epochs=10, plan_kwargs={"lr": 1e-2})
    scmoe.tl.annotate(paired, model)
    assert "Unknown" not in paired.obs["scmoe_label"].cat.categories
    assert (paired.obs["scmoe_label"].astype(str) == truth)[1::2].mean() > 0.8


@pytest.mark.parametrize("form", ["h5mu", "zarr"])
def test_labels_with_slashes_survive_a_file(paired, fit_model, tmp_path, form):
    paired.obs["cell_type"] = paired.obs["cell_type"].cat.rename_categories({"NK": "B/NK"})
    scmoe.tl.annotate(paired, fit_model(paired, setup={"labels_key": "cell_type"}))
    with quiet_mudata():
        getattr(paired, f"write_{form}")(tmp_path / "data")
        back = getattr(mudata, f"read_{form}")(tmp_path / "data")
    pd.testing.assert_frame_equal(back.obsm["scmoe_label_probability"], paired.obsm["scmoe_label_probability"])
    assert list(back.obs["scmoe_label"].cat.categories) == ["B", "B/NK", "T"]
