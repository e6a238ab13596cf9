"""What the models take over from scvi-tools works, or says what to call."""

import pytest
from anndata import AnnData
from mudata import MuData

import scmoe

INHERITED = [
    "get_normalized_expression",
    "differential_abundance",
    "convert_legacy_save",
    "load_registry",
    "setup_annbatch",
    "data_registry",
    "get_from_registry",
]


@pytest.mark.parametrize("name", INHERITED)
@pytest.mark.parametrize("model", ["trained", "pretrained"])
def test_what_cannot_work_says_what_to_call(request, model: str, name: str) -> None:
    with pytest.raises(NotImplementedError, match=f"{name} does not exist for the models of scmoe. [A-Z].*"):
        getattr(request.getfixturevalue(model), name)()


@pytest.mark.parametrize("view", ["view_anndata_setup", "view_registry", "view_setup_method_args"])
def test_setup_is_shown(trained, pretrained, capsys, view: str) -> None:
    getattr(trained, view)()
    shown = capsys.readouterr().out
    assert "SCMOE.setup_mudata" in shown and "'labels_key': 'cell_type'" in shown
    assert ("gaussian" in shown) == (view != "view_setup_method_args")
    getattr(pretrained, view)()
    assert "XTRIMOGENE.setup_anndata" in capsys.readouterr().out


def test_setup_of_a_saved_model_is_shown(trained, pretrained, tmp_path, capsys) -> None:
    trained.save(tmp_path / "a")
    scmoe.model.SCMOE.view_setup_args(tmp_path / "a")
    assert "gaussian" in capsys.readouterr().out
    pretrained.save(tmp_path / "b")
    scmoe.model.XTRIMOGENE.view_setup_args(tmp_path / "b")
    assert "counts" in capsys.readouterr().out
    with pytest.raises(ValueError, match="is not a model folder: .*settings.json is missing"):
        scmoe.model.SCMOE.view_setup_args(tmp_path)


def test_data_without_setup_name_the_right_method(paired: MuData, genes: AnnData) -> None:
    with pytest.raises(ValueError, match=r"not set up for SCMOE. Call SCMOE.setup_mudata\(mdata\) first"):
        scmoe.model.SCMOE(paired)
    with pytest.raises(ValueError, match=r"not set up for XTRIMOGENE. Call XTRIMOGENE.setup_anndata\(adata\) first"):
        scmoe.model.XTRIMOGENE(genes)
    with pytest.raises(ValueError, match=r"SCMOE needs data: call SCMOE.setup_mudata\(mdata\) first"):
        scmoe.model.SCMOE()
