"""One pass says what the methods say one by one."""

import numpy as np
import pytest


@pytest.mark.parametrize("model", ["trained", "trained_mosaic"])
def test_all_results_of_one_pass_are_those_of_the_methods(request, model: str) -> None:
    model = request.getfixturevalue(model)
    results = model.get_results(coverage=0.8)
    np.testing.assert_array_equal(results.embedding, model.get_latent_representation())
    np.testing.assert_array_equal(results.mapping_score, model.get_mapping_score())
    for name, state in results.states.items():
        np.testing.assert_array_equal(state, model.get_latent_representation(modality=name))
    assert list(results.states) == model.modalities
    assert results.n_features == {name: len(names) for name, names in model.feature_names.items()}
    if not model.setup.labels:
        assert results.annotation is None and results.labeled_embedding is None
        return
    np.testing.assert_array_equal(results.labeled_embedding, model.get_latent_representation(labeled=True))
    for part, expected in zip(results.annotation, model.get_annotation(coverage=0.8), strict=True):
        np.testing.assert_array_equal(part, expected)


def test_what_is_left_out_is_none(trained) -> None:
    results = trained.get_results(mapping_score=False, annotation=False)
    assert results.mapping_score is None and results.annotation is None
    np.testing.assert_array_equal(results.labeled_embedding, trained.get_latent_representation(labeled=True))


def test_the_network_runs_once_over_each_cell(trained, monkeypatch) -> None:
    rows = []
    encode = trained.module.encode
    monkeypatch.setattr(
        trained.module,
        "encode",
        lambda z, presence, *a, **k: rows.append(len(presence.mask)) or encode(z, presence, *a, **k),
    )
    trained.get_results()
    assert sum(rows) == trained.adata.n_obs


def test_no_cell_is_no_error(trained) -> None:
    results = trained.get_results(indices=[])
    assert results.embedding.shape == (0, trained.config.n_hidden)
    assert len(results.annotation.trust) == 0
