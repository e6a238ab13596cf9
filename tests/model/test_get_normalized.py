"""Values decoded as of other batches, and without noise."""

import itertools

import numpy as np
import pytest


def in_cell_order(mdata, name, layer):
    values = mdata[name].layers[layer] if layer else mdata[name].X
    values = values.toarray() if hasattr(values, "toarray") else values
    return values[mdata[name].obs_names.get_indexer(mdata.obs_names)]


@pytest.mark.parametrize("part", ["mixture", "network", "linear"])
def test_several_batches_are_the_mean_of_each(paired, held_out, part):
    single = [held_out.impute("rna", "adt", paired, part=part, transform_batch=b) for b in ("donor1", "donor2")]
    assert not np.allclose(*single, atol=1e-4)
    found = held_out.impute("rna", "adt", paired, part=part, transform_batch=["donor1", "donor2"])
    np.testing.assert_allclose(found, np.mean(single, axis=0), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("ask", ["impute", "get_normalized"])
def test_its_own_batch_changes_nothing(paired, held_out, ask):
    arguments = ("rna", "adt", paired) if ask == "impute" else ("adt", paired)
    own, first = (getattr(held_out, ask)(*arguments, transform_batch=batch) for batch in (None, "donor1"))
    mine = (paired.obs["batch"] == "donor1").to_numpy()
    np.testing.assert_allclose(first[mine], own[mine], rtol=1e-4, atol=1e-5)
    assert not np.allclose(first[~mine], own[~mine], atol=1e-4)


def test_normalized_values_are_nan_exactly_without_the_modality(mosaic, trained_mosaic):
    for name in mosaic.mod:
        found = trained_mosaic.get_normalized(name, mosaic)
        assert found.shape == (120, mosaic[name].n_vars)
        here = mosaic.obs_names.isin(mosaic[name].obs_names)
        assert np.isfinite(found[here]).all() and np.isnan(found[~here]).all()


def test_normalized_values_are_the_data_without_noise(paired, trained):
    found, truth = trained.get_normalized("rna", paired), in_cell_order(paired, "rna", None)
    types = paired.obs["cell_type"].to_numpy()
    expected = np.stack([truth[types == t].mean(0) for t in types])
    assert np.square(found - expected).mean() < 0.5 * np.square(truth - expected).mean()


def test_normalized_counts_are_those_of_a_cell_of_median_size(mosaic, counted):
    found = counted.get_normalized("rna", mosaic)
    total = np.nansum(found, axis=1)[np.isfinite(found).all(1)]
    library = counted.module.decoders[0].library.item()
    assert (total > 0.5 * library).all() and (total < 2 * library).all()


def test_several_batches_of_normalized_values_are_the_mean_of_each(paired, held_out):
    single = [held_out.get_normalized("adt", paired, transform_batch=b) for b in ("donor1", "donor2")]
    found = held_out.get_normalized("adt", paired, transform_batch=["donor1", "donor2"])
    np.testing.assert_allclose(found, np.mean(single, axis=0), rtol=1e-4, atol=1e-5)


def test_a_normalized_modality_must_be_known(paired, held_out):
    with pytest.raises(KeyError, match="no modality 'atac'; it has rna, adt"):
        held_out.get_normalized("atac", paired)
    with pytest.raises(KeyError, match="no batch 'donor9'"):
        held_out.get_normalized("rna", paired, transform_batch="donor9")


def test_an_unknown_batch_is_decoded_as_the_mean_of_the_batches(paired, trained):
    predictions = {}
    for batch in ("donor1", "donor2", "donor9"):
        paired.obs["batch"] = batch
        predictions[batch] = trained.impute("rna", "adt", paired)
    assert not any(np.allclose(predictions[a], predictions[b]) for a, b in itertools.combinations(predictions, 2))
    low = np.minimum(predictions["donor1"], predictions["donor2"])
    high = np.maximum(predictions["donor1"], predictions["donor2"])
    inside = (predictions["donor9"] >= low - 0.05) & (predictions["donor9"] <= high + 0.05)
    assert inside.mean() > 0.95
