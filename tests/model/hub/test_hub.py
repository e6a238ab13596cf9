"""Models to and from a hub: what travels, what is refused, and what is said when there is no network."""

import json
import socket
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import scmoe
from scmoe.cli import app
from scmoe.model import SCMOE, XTRIMOGENE
from scmoe.model.hub._contents import CARD, FILES

pytest.importorskip("huggingface_hub", reason="needs scmoe[hub]")
REPO = "lab/marrow"


def push(model, **kwargs):
    return model.push_to_hub(REPO, **{"license": "mit", "description": "Planted types", **kwargs})


@pytest.fixture
def no_network(hub, monkeypatch):
    """Call it, and the hub is gone; what was downloaded stays."""

    def disconnect():
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = f"http://127.0.0.1:{free.getsockname()[1]}"
        constants = pytest.importorskip("huggingface_hub.constants")
        monkeypatch.setattr(constants, "ENDPOINT", address)
        monkeypatch.setattr("time.sleep", lambda seconds: None)  # between tries of the library
        template = address + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)

    return disconnect


def test_what_comes_back_is_what_was_pushed(hub, trained, paired, caplog):
    commit = push(trained)
    files = hub.commits[REPO][commit]
    assert set(files) == {*FILES, CARD, ".gitattributes"}
    model = SCMOE.from_hub(REPO)
    assert (model.predict(paired) == trained.predict(paired)).all()
    assert model.about_ == {"description": "Planted types", "license": "mit", "origin": f"{REPO}@{commit}"}
    assert f"{REPO} at commit {commit}" in caplog.text


def test_origin_and_description_are_saved_with_the_model(hub, trained, tmp_path):
    commit = push(trained)
    SCMOE.from_hub(REPO).save(tmp_path / "model")
    assert SCMOE.load(tmp_path / "model").about_["origin"] == f"{REPO}@{commit}"


def test_the_gene_model_travels_too(hub, pretrained, genes):
    push(pretrained)
    model = XTRIMOGENE.from_hub(REPO)
    assert np.array_equal(model.get_latent_representation(genes), pretrained.get_latent_representation(genes))
    with pytest.raises(ValueError, match=r"holds a XTRIMOGENE model, not SCMOE"):
        SCMOE.from_hub(REPO)


def test_the_card_says_what_the_model_is(hub, trained):
    commit = push(trained)
    card = hub.commits[REPO][commit][CARD].decode()
    yaml = pytest.importorskip("yaml")
    header = yaml.safe_load(card.split("---")[1])
    assert header["license"] == "mit" and header["library_name"] == "scmoe" and "scmoe" in header["tags"]
    said = ["Planted types", "120 cells", "gene0", "protein0", "donor1, donor2", "| NK |", "accuracy", "## Limits"]
    said += [f'from_hub("{REPO}")', f"scmoe annotate cells.h5 --model {REPO}", "torch "]
    assert not [text for text in said if text not in card]


def test_a_revision_is_pinned(hub, trained, fresh, fit_model, paired):
    first = push(trained)
    other = fit_model(fresh("paired"), setup={"labels_key": "cell_type"}, seed=3)
    second = push(other)
    assert SCMOE.from_hub(REPO).seed == 3
    pinned = SCMOE.from_hub(REPO, revision=first)
    assert pinned.seed == trained.seed and pinned.about_["origin"].endswith(first) and first != second
    with pytest.raises(ValueError, match="no such commit, tag or branch"):
        SCMOE.from_hub(REPO, revision="0" * 40)


def test_the_cache_serves_without_a_network(hub, trained, paired, no_network):
    commit = push(trained)
    SCMOE.from_hub(REPO)
    n_requests = len(hub.requests)
    no_network()
    for revision in (None, commit):
        assert (SCMOE.from_hub(REPO, revision=revision).predict(paired) == trained.predict(paired)).all()
    assert len(hub.requests) == n_requests


def test_without_network_and_cache_the_error_says_what_to_do(hub, trained, no_network, tmp_path):
    no_network()
    with pytest.raises(ConnectionError, match=r"cannot be reached, and the model is not in the cache\. .*SCMOE\.load"):
        SCMOE.from_hub(REPO)
    with pytest.raises(ConnectionError, match="Cannot write to lab/marrow: .*cannot be reached"):
        push(trained)
    result = CliRunner().invoke(app, ["annotate", "x.h5", "--model", REPO, "-o", str(tmp_path / "y.h5mu")])
    assert result.exit_code == 1 and "no folder lab/marrow" in result.stderr and "--model FOLDER" in result.stderr


@pytest.mark.parametrize(
    "name",
    ["model.pkl", "modeling.py", "../settings.json", "sub/weights.safetensors", "weights.safetensors.py", "a.csv"],
)
def test_a_repository_with_other_files_is_refused_by_name(hub, trained, name):
    push(trained)
    hub.commit(REPO, {name: b"import os"})
    with pytest.raises(ValueError, match=f"holds '{name}', which is .*A model of scmoe is settings.json and weights"):
        SCMOE.from_hub(REPO)
    with pytest.raises(ValueError, match=f"holds '{name}'"):
        push(trained)  # which would leave the file there


@pytest.mark.parametrize("name", FILES)
def test_changed_files_are_refused(hub, trained, name):
    commit = push(trained)
    content = hub.commits[REPO][commit][name]
    changed = content.replace(b'"seed": 0', b'"seed": 7') if name.endswith("json") else content[:-1] + b"?"
    assert changed != content
    hub.commit(REPO, {name: changed})
    with pytest.raises(ValueError, match="its checksum is not the one saved"):
        SCMOE.from_hub(REPO)
    assert SCMOE.from_hub(REPO, revision=commit).seed == 0


def test_a_repository_without_a_model_is_named(hub, trained):
    hub.commit(REPO, {"README.md": b"# Nothing"})
    with pytest.raises(ValueError, match=r"Cannot read lab/marrow: it lacks settings\.json"):
        SCMOE.from_hub(REPO)
    with pytest.raises(ValueError, match="no such repository, or you may not see it"):
        SCMOE.from_hub("lab/other")
    hub.private.add(REPO)
    with pytest.raises(ConnectionError, match="the hub answered with 401|not in the cache"):
        SCMOE.from_hub(REPO)


@pytest.mark.parametrize("repo_id", ["marrow", "a/b/c", "../x", "lab/../x", "https://hub/lab/x", ""])
def test_names_of_repositories(trained, repo_id):
    with pytest.raises(ValueError, match="repo_id must be"):
        SCMOE.from_hub(repo_id)
    with pytest.raises(ValueError, match="repo_id must be"):
        trained.push_to_hub(repo_id, license="mit")


def test_a_license_is_an_identifier(hub, trained):
    with pytest.raises(ValueError, match="license must be an identifier"):
        push(trained, license="mit\ntags: x")
    with pytest.raises(TypeError, match="license"):
        trained.push_to_hub(REPO)
    assert not hub.commits


def test_an_untrained_model_is_not_pushed(hub, paired, tiny):
    SCMOE.setup_mudata(paired)
    with pytest.raises(ValueError, match="not trained yet"):
        push(SCMOE(paired, **tiny))
    assert not hub.commits


def test_commands_take_a_repository(hub, trained, paired, tmp_path):
    commit = push(trained)
    scmoe.datasets.write(paired, tmp_path / "cells.h5mu")
    for model in (REPO, f"{REPO}@{commit}"):
        output = tmp_path / f"{len(model)}.h5mu"
        arguments = ["annotate", str(tmp_path / "cells.h5mu"), "--model", model, "-o", str(output)]
        assert CliRunner().invoke(app, arguments).exit_code == 0
        assert (scmoe.datasets.read(output).obs["scmoe_label"].astype(str) == trained.predict(paired)).all()
    result = CliRunner().invoke(app, ["model", "info", REPO, "--json"])
    assert json.loads(result.stdout)["about"]["license"] == "mit"
    assert f'from_hub("{REPO}")' in CliRunner().invoke(app, ["model", "info", REPO]).stdout


def test_the_cache_may_be_anywhere(hub, trained, tmp_path: Path):
    push(trained)
    SCMOE.from_hub(REPO, cache_dir=tmp_path / "elsewhere")
    assert (tmp_path / "elsewhere" / "models--lab--marrow").is_dir() and not (tmp_path / "hub").exists()
