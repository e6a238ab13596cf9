"""Every method that is asked about some cells takes them by position, by name, or as a mask."""

import inspect

import numpy as np
import pandas as pd
import pytest

from scmoe.model import SCMOE, XTRIMOGENE

CELLS = [7, 2, 40, 11]


def asked_of(model_class) -> list[str]:
    methods = inspect.getmembers(model_class, inspect.isfunction)
    own = [name for name, method in methods if method.__module__.startswith("scmoe") and not name.startswith("_")]
    return [name for name in own if "indices" in inspect.signature(getattr(model_class, name)).parameters]


ARGUMENTS = {
    "impute": {"source": "rna", "target": "adt"},
    "get_normalized": {"modality": "rna"},
    "get_activations": {"layer": "states"},
    "get_directions": {"layer": "states", "modality": "adt", "shifts": np.ones((1, 12))},
    "get_gradients": {"layer": "states"},
    "get_mean_attributions": {"n_steps": 1},
    "get_attributions": {"n_steps": 1},
    "get_deletion": {"slopes": {"rna": np.ones(60), "adt": np.ones(12)}, "n_steps": 1},
}
WITHOUT = {"predict_clusters", "predict_supervised", "get_gradient_conflict"}
"""They need another model, or more cells."""


def ask(model, name, data, cells):
    arguments = dict(ARGUMENTS.get(name, {})) if isinstance(model, SCMOE) else {}
    if "target" in inspect.signature(getattr(model, name)).parameters and "target" not in arguments:
        arguments["target"] = model.label_target("B")
    return getattr(model, name)(adata=data, indices=cells, **arguments)


def arrays(result) -> list[np.ndarray]:
    if isinstance(result, dict):
        return [array for value in result.values() for array in arrays(value)]
    if isinstance(result, tuple):
        return [array for value in result for array in arrays(value)]
    if hasattr(result, "__dataclass_fields__"):
        return [array for name in result.__dataclass_fields__ for array in arrays(getattr(result, name))]
    return [] if result is None else [np.asarray(result)]


def choices(names: pd.Index) -> dict[str, object]:
    mask = pd.Series(np.isin(np.arange(len(names)), CELLS), index=names)
    return {"names": names[CELLS], "mask": mask.sample(frac=1, random_state=0)}


def check_choices(model, name, data):
    expected = {"names": CELLS, "mask": sorted(CELLS)}
    for kind, cells in choices(data.obs_names).items():
        found, right = (arrays(ask(model, name, data, each)) for each in (cells, expected[kind]))
        assert len(found) == len(right) > 0
        for one, other in zip(found, right, strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", sorted(set(asked_of(SCMOE)) - WITHOUT))
def test_names_and_shuffled_masks_are_the_cells_at_their_positions(paired, trained, name):
    check_choices(trained, name, paired)


@pytest.mark.parametrize("name", sorted(set(asked_of(XTRIMOGENE)) - {"fine_tune", "predict"}))
def test_of_a_gene_model_too(genes, pretrained, name):
    check_choices(pretrained, name, genes)


@pytest.mark.parametrize(
    ("cells", "error", "match"),
    [
        ([120], IndexError, "position 120; there are 120 cells"),
        (["cell7", "cell999"], KeyError, "first is 'cell999'"),
        (np.ones(64, bool)[:50], ValueError, "found bool of the shape"),
        ({1, 2}, TypeError, "found a set, which is no list"),
        (dict.fromkeys([1, 2]).keys(), TypeError, "found a dict_keys, which is no list"),
        ([0.5], TypeError, "must list positions"),
    ],
)
def test_cells_that_are_not_there(paired, trained, genes, pretrained, cells, error, match):
    for model, data in ((trained, paired), (pretrained, genes)):
        with pytest.raises(error, match=match if model is trained else match.replace("are 120", "are 64")):
            model.get_latent_representation(data, cells)


def test_a_gene_model_does_not_learn_from_a_cell_twice(genes, pretrained):
    with pytest.raises(ValueError, match="each cell once; found 'cell3' 2 times"):
        pretrained.fine_tune("cell_type", genes, [1, 2, 3, 3])


def test_labels_of_chosen_cells_are_those_of_their_names(genes, pretrained):
    cells = genes.obs_names[::-1][:40]
    settings = {"trainable": "head", "max_epochs": 1, "enable_progress_bar": False, "accelerator": "cpu"}
    by_name, by_position = (
        pretrained.fine_tune("cell_type", genes, chosen, **settings) for chosen in (cells, range(63, 23, -1))
    )
    np.testing.assert_array_equal(by_name.predict(genes, soft=True), by_position.predict(genes, soft=True))


def test_groups_are_matched_by_name(paired, trained):
    groups = paired.obs["cell_type"]
    expected = trained.group_targets(groups, paired)
    for same in (groups.sample(frac=1, random_state=0), groups.tolist(), pd.Series(groups.to_numpy())):
        found = trained.group_targets(same, paired)
        assert {name: target.agreement for name, target in found.items()} == {
            name: target.agreement for name, target in expected.items()
        }
    with pytest.raises(ValueError, match="it lacks 1, the first is 'cell119'"):
        trained.group_targets(groups.iloc[:-1], paired)
    with pytest.raises(ValueError, match=r"one group a cell; found \(119,\) for 120 cells"):
        trained.group_targets(groups.to_numpy()[:-1], paired)
    with pytest.raises(ValueError, match=r"found \(120, 1\)"):
        trained.group_targets(groups.to_frame(), paired)


def test_numbers_of_features_are_matched_by_name(paired, trained):
    rng, features = np.random.default_rng(0), trained.feature_names["adt"]
    shifts = rng.normal(size=(2, 12))
    frame = pd.DataFrame(shifts, columns=features)[rng.permutation(features)]
    np.testing.assert_array_equal(
        trained.get_directions("states", "adt", frame, paired), trained.get_directions("states", "adt", shifts, paired)
    )
    slopes = {name: rng.normal(size=len(names)) for name, names in trained.feature_names.items()}
    series = {
        name: pd.Series(values, trained.feature_names[name]).sample(frac=1, random_state=0)
        for name, values in slopes.items()
    }
    target, settings = trained.label_target("B"), {"n_steps": 1}
    np.testing.assert_array_equal(
        trained.get_deletion(target, series, paired, CELLS, **settings),
        trained.get_deletion(target, slopes, paired, CELLS, **settings),
    )


@pytest.mark.parametrize(
    ("slopes", "error", "match"),
    [
        ({"rna": np.ones(60)}, KeyError, "every modality; 'adt' is not there"),
        ({"rna": np.ones(60), "adt": np.ones(1)}, ValueError, r"each of the 12 features; found \(1,\)"),
        ({"rna": np.ones(60), "adt": pd.Series(1.0, ["CD3"])}, ValueError, r"slopes\['adt'\] must .* 'protein0'"),
    ],
)
def test_slopes_that_do_not_fit(paired, trained, slopes, error, match):
    with pytest.raises(error, match=match):
        trained.get_deletion(trained.label_target("B"), slopes, paired, CELLS)


def test_embeddings_of_genes_are_matched_by_name(genes, tiny_genes):
    rng = np.random.default_rng(0)
    values = rng.normal(size=(40, 8)).astype(np.float32)
    frame = pd.DataFrame(values, index=genes.var_names).sample(frac=1, random_state=0)
    np.testing.assert_array_equal(tiny_genes(genes, gene_embeddings=frame).gene_embeddings, values)
    with pytest.raises(ValueError, match="each of the 40 genes, by name; it lacks 1"):
        tiny_genes(genes, gene_embeddings=frame.iloc[1:])
