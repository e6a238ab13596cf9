"""`docs/recipes`: each runs as far as its tool is installed, and none can drift from the package."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest
import yaml

import scmoe
from scmoe.model import NetworkConfig, TrainConfig

ROOT = Path(__file__).parents[1]
RECIPES = ROOT / "docs" / "recipes"
pytestmark = pytest.mark.skipif(not RECIPES.exists(), reason="the documentation is not beside the tests")


def tool(name: str) -> str:
    """A program, of this environment first; the test is skipped without it."""
    beside = Path(sys.executable).parent
    path = shutil.which(name, path=f"{beside}{os.pathsep}{os.environ['PATH']}")
    if path is None:
        pytest.skip(f"{name} is not installed")
    return path


@pytest.fixture(scope="module")
def commands(tmp_path_factory) -> dict[str, str]:
    """An environment in which `scmoe` is this package, in this Python."""
    folder = tmp_path_factory.mktemp("bin")
    program = folder / "scmoe"
    program.write_text(f"#!{sys.executable}\nfrom scmoe.cli import app\napp()\n")
    program.chmod(0o755)
    path = os.pathsep.join(filter(None, [str(Path(scmoe.__file__).parents[1]), os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": path}


@pytest.fixture
def cells(fresh, tmp_path) -> Path:
    scmoe.datasets.write(fresh("paired"), tmp_path / "cells.h5mu")
    return tmp_path / "cells.h5mu"


CONDA = {"igraph": "python-igraph", "torch": "pytorch", "matplotlib": "matplotlib-base"}
"""Packages of another name on conda-forge."""


def test_the_conda_recipe_asks_for_what_the_package_does():
    recipe = yaml.safe_load((RECIPES / "conda/recipe.yaml").read_text("utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    wanted = dict(re.match(r"([\w-]+)(.*)", each).groups() for each in project["project"]["dependencies"])
    python, *run = recipe["requirements"]["run"]
    assert python == "python >=${{ python_min }}"
    assert dict(each.split(" ", 1) for each in run) == {CONDA.get(name, name): bound for name, bound in wanted.items()}
    assert recipe["context"]["version"] == scmoe.__version__
    assert f">={recipe['context']['python_min']}" == project["project"]["requires-python"]
    assert project["build-system"]["requires"][0].replace(">=", " >=") in recipe["requirements"]["host"]
    scripts = [f"{name} = {target}" for name, target in project["project"]["scripts"].items()]
    assert recipe["build"]["python"]["entry_points"] == scripts
    assert recipe["about"]["license"] == project["project"]["license"]
    assert all((ROOT / name).exists() for name in recipe["about"]["license_file"])
    assert sorted(recipe["about"]["license_file"][1:]) == sorted(
        f"LICENSES/{p.name}" for p in (ROOT / "LICENSES").iterdir()
    )


def dockerfile() -> list[list[str]]:
    """Instructions of the Dockerfile, without comments."""
    text = re.sub(r"^#.*\n", "", (RECIPES / "Dockerfile").read_text("utf-8"), flags=re.MULTILINE)
    return [line.split() for line in text.replace("\\\n", " ").splitlines() if line.strip()]


def test_what_the_image_copies_is_enough_to_build_the_package(tmp_path):
    for _, *sources, place in [line for line in dockerfile() if line[0] == "COPY"]:
        for source in sources:
            name = tmp_path / (source if place == "./" else place)
            copy = shutil.copytree if (ROOT / source).is_dir() else shutil.copy
            copy(ROOT / source, name)
    (install,) = [line for line in dockerfile() if line[:4] == ["RUN", "python", "-m", "pip"]]
    assert "constraints.txt" in install and "." in install
    pytest.importorskip("hatchling", reason="hatchling is not installed")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel"]
    done = subprocess.run(build, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and list((tmp_path / "dist").glob("*.whl")), done.stderr


def test_the_image_is_of_a_supported_python_and_runs_as_no_root():
    lines = dockerfile()
    python = re.match(r"python:(3\.\d+)-slim$", lines[0][1])[1]
    assert f"Programming Language :: Python :: {python}" in (ROOT / "pyproject.toml").read_text("utf-8")
    assert [line[1] for line in lines if line[0] == "USER"] == ["1000"]
    assert (RECIPES / "Dockerfile").read_text("utf-8").count(f"scmoe:{scmoe.__version__}") >= 1


def test_hadolint_finds_nothing():
    done = subprocess.run([tool("hadolint"), RECIPES / "Dockerfile"], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stdout == "", done.stdout


@pytest.mark.slow
@pytest.mark.timeout(1200)  # four programs, each of which loads all libraries
def test_snakemake_trains_maps_and_reports(cells, commands, tmp_path):
    snakemake = tool("snakemake")
    settings = {
        "reference": "cells.h5mu",
        "queries": {"patient 1": "cells.h5mu"},
        "output": "out",
        "train": {"batch-key": "batch", "labels-key": "cell_type", "epochs": 1, "kind": ["rna=rna"], "predict": False},
    }
    (tmp_path / "settings.yaml").write_text(yaml.safe_dump(settings))
    run = [snakemake, "--snakefile", RECIPES / "snakemake/Snakefile", "--configfile", "settings.yaml", "--cores", "1"]
    done = subprocess.run(run, cwd=tmp_path, env=commands, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    out = tmp_path / "out"
    assert {"train", "logs", "patient 1.h5mu", "patient 1.html"} <= {path.name for path in out.iterdir()}
    assert {"result.h5mu", "model", "figures", "run.toml", "report.html"} == {p.name for p in (out / "train").iterdir()}
    assert all(json.loads(line) for line in (out / "logs/train.jsonl").read_text().splitlines())
    again = subprocess.run([*run, "--dry-run"], cwd=tmp_path, env=commands, capture_output=True, text=True, check=False)
    assert "Nothing to be done" in again.stdout + again.stderr


def test_the_snakefile_has_its_usual_form():
    subprocess.run([tool("snakefmt"), "--check", RECIPES / "snakemake/Snakefile"], capture_output=True, check=True)


MODULES = ["train", "map"]


def process(module: str) -> str:
    return (RECIPES / "nextflow/scmoe" / module / "main.nf").read_text("utf-8")


def block(module: str, name: str, values: dict[str, str]) -> str:
    """The commands of a block, as Nextflow hands them to bash."""
    text = re.search(rf'    {name}:\n.*?"""\n(.*?)    """', process(module), re.DOTALL)[1]
    text = re.sub(r"(?<!\\)\$\{?([a-z]+(?:\.[a-z]+)?)\}?", lambda match: values[match[1]], text)
    return "\n".join(line.removeprefix("    ") for line in text.replace("\\$", "$").splitlines())


def outputs(module: str, prefix: str) -> list[str]:
    section = process(module).split("    output:")[1].split("    when:")[0]
    return [name.replace("${prefix}", prefix) for name in re.findall(r'path\(?\s*"(.*?)"', section)]


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", [pytest.param("script", marks=pytest.mark.slow), "stub"])
def test_nextflow_modules_run_as_bash(name, cells, commands, tmp_path):
    """Nextflow itself is not on PyPI, but what it hands to bash can run."""
    values = {
        "data": cells.name,
        "args": "--epochs 1",
        "prefix": "one",
        "task.process": "SCMOE_TRAIN",
        "model": "one/model",
    }
    for module in MODULES:
        values |= {"args": ""} | (
            {"prefix": "two"} if module == "map" else {"args": "--epochs 1 --labels-key cell_type"}
        )
        bash = ["bash", "-euo", "pipefail", "-c", block(module, name, values)]
        done = subprocess.run(bash, cwd=tmp_path, env=commands, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert len(outputs(module, values["prefix"])) > 3
        assert [each for each in outputs(module, values["prefix"]) if not (tmp_path / each).exists()] == []
        versions = yaml.safe_load((tmp_path / "versions.yml").read_text())
        assert versions == {"SCMOE_TRAIN": {"scmoe": scmoe.__version__}}


@pytest.mark.parametrize("module", MODULES)
def test_nextflow_modules_are_described(module):
    meta = yaml.safe_load((RECIPES / "nextflow/scmoe" / module / "meta.yml").read_text("utf-8"))
    assert meta["name"] == f"scmoe_{module}" and f"process SCMOE_{module.upper()} {{" in process(module)
    emitted = re.findall(r"emit: (\w+)", process(module))
    assert list(meta["output"]) == emitted
    assert process(module).count("{") == process(module).count("}")
    environment = yaml.safe_load((RECIPES / "nextflow/scmoe" / module / "environment.yml").read_text("utf-8"))
    assert environment["dependencies"] == [f"conda-forge::scmoe={scmoe.__version__}"]
    assert f'container "scmoe:{scmoe.__version__}"' in process(module)


@pytest.mark.parametrize("module", MODULES)
def test_nextflow_itself_runs_the_stub(module, commands, tmp_path):
    nextflow = tool("nextflow")
    works = subprocess.run([nextflow, "-version"], capture_output=True, timeout=60, check=False).returncode == 0
    if not works:
        pytest.skip("the launcher of Nextflow finds no Nextflow")
    run = [nextflow, "run", RECIPES / "nextflow/scmoe" / module / "main.nf", "-stub"]
    subprocess.run(run, cwd=tmp_path, env=commands, check=True)


def namespace() -> dict:
    """What the recipe for tuning defines before it needs optuna."""
    source = (RECIPES / "tune.py").read_text("utf-8")
    values: dict = {}
    for name in ("DEFAULTS", "PLAN"):
        exec(re.search(rf"^{name} = (?:\{{.*?^\}}|\(.*?\))", source, re.MULTILINE | re.DOTALL)[0], values)
    return values


def test_the_first_trial_of_tuning_is_the_default():
    network = {field.name: field.default for field in fields(NetworkConfig)}
    plan = {field.name: field.default for field in fields(TrainConfig)}
    values = namespace()
    assert set(values["PLAN"]) <= set(plan)
    assert values["DEFAULTS"] == {n: (plan if n in values["PLAN"] else network)[n] for n in values["DEFAULTS"]}


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_tuning_runs(fresh, commands, tmp_path):
    pytest.importorskip("optuna", reason="optuna is not installed")
    scmoe.datasets.write(fresh("paired"), tmp_path / "cells.h5mu")
    run = [sys.executable, RECIPES / "tune.py", "cells.h5mu", "--trials", "2", "--seeds", "1", "-o", "tuned"]
    done = subprocess.run(run, cwd=tmp_path, env=commands, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Best of 2 trials" in done.stdout
    assert {path.name for path in (tmp_path / "tuned").iterdir()} == {"trials.csv", "comparison.csv", "study.db"}


def test_recipes_are_on_their_page():
    page = (ROOT / "docs/user_guide/running.md").read_text("utf-8")
    assert [p.name for p in RECIPES.iterdir() if f"recipes/{p.name}" not in page] == []
