"""What is published holds what it should, and files about the project agree with each other."""

import importlib.util
import io
import re
import tarfile
import tomllib
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.skipif(not (ROOT / ".github").exists(), reason="not in a clone of the repository")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8")) if (ROOT / "pyproject.toml").exists() else {}
PLACEHOLDER = re.compile(
    r"https?://(?:[\w-]+\.)*example\.(?:org|com|net|edu)|(?:git(?:hub|lab)\.com|readthedocs\.(?:io|org))/"
    r"(?:your|user|org|owner|username|name|me|xxx|scmoe)(?:[-_]?\w*)?/|//(?:your|my)[-_.]"
)
"""Addresses that nobody answers at."""
TEXT = {
    ".md",
    ".py",
    ".pyi",
    ".toml",
    ".cff",
    ".yml",
    ".yaml",
    ".cfg",
    ".txt",
    ".html",
    ".js",
    ".nf",
    ".config",
    ".smk",
    ".ipynb",
}


def texts() -> list[Path]:
    """Files that are published or read by people."""
    folders = [ROOT / name for name in ("src", "docs", "tutorials", ".github")]
    files = [path for folder in folders for path in folder.rglob("*") if path.suffix in TEXT or not path.suffix]
    built = {"_build", "generated", "__pycache__", ".ipynb_checkpoints"}
    return [p for p in [*files, *ROOT.glob("*.*")] if p.is_file() and p.suffix in TEXT and not built & set(p.parts)]


@pytest.mark.parametrize(
    "text", ["https://docs.example.org/x", "https://github.com/your-name/scmoe", "github.com/org/x/"]
)
def test_placeholders_are_found(text):
    assert PLACEHOLDER.search(text)


def test_no_address_leads_nowhere():
    lines = {path: PLACEHOLDER.findall(path.read_text("utf-8")) for path in texts()}
    assert len(lines) > 500 and {path: found for path, found in lines.items() if found} == {}


def test_links_within_the_repository_lead_somewhere():
    pages = [ROOT / "README.md", *(ROOT / ".github").glob("*.md")]
    links = [
        (page, target) for page in pages for target in re.findall(r"\]\((?!http|#)([^)#]+)", page.read_text("utf-8"))
    ]
    assert len(links) > 20 and [(page.name, t) for page, t in links if not (page.parent / t).exists()] == []


def sessions() -> set[str]:
    return set(re.findall(r"@nox\.session[^\n]*\ndef (\w+)", (ROOT / "noxfile.py").read_text("utf-8")))


def test_workflows_and_pages_name_sessions_that_exist():
    files = [*(ROOT / ".github").rglob("*.*"), ROOT / "docs/contributing.md", ROOT / "README.md", ROOT / ".ci/run"]
    named = {}
    for file in files:
        text = file.read_text("utf-8")
        words = [*re.findall(r"nox -s ((?:[a-z]+ )*[a-z]+)", text), *re.findall(r"session: (\w+)", text)]
        named[file.name] = {word for each in words for word in each.split()} | set()
    loop = re.search(r"for name in ([\w ]+); do", (ROOT / ".ci/run").read_text("utf-8"))
    named["run"] |= set(loop[1].split())
    assert named["run"] >= {"test", "lint", "typecheck", "build", "docs"}
    unknown = {file: words - sessions() - {"test", "passes", "typecheck"} for file, words in named.items()}
    assert {file: words for file, words in unknown.items() if words} == {}


def test_each_session_is_on_the_page_for_contributors():
    page = (ROOT / "docs/contributing.md").read_text("utf-8")
    assert [name for name in sorted(sessions()) if f"nox -s {name}" not in page] == []


def test_pythons_are_the_same_everywhere():
    pythons = [line.rsplit(" ", 1)[1] for line in PROJECT["project"]["classifiers"] if re.search(r":: 3\.\d+$", line)]
    assert PROJECT["project"]["requires-python"] == f">={pythons[0]}"
    matrix = re.search(r"python: \[(.*)\]", (ROOT / ".github/workflows/test.yml").read_text("utf-8"))
    assert re.findall(r"[\d.]+", matrix[1]) == pythons
    support = (ROOT / "docs/support.md").read_text("utf-8")
    assert re.findall(r"^\| (3\.\d+) \|", support, re.MULTILINE) == pythons
    for page in ("README.md", "docs/installation.md"):
        assert f"{pythons[0]} to {pythons[-1]}" in (ROOT / page).read_text("utf-8")


def test_the_page_of_support_has_the_lower_bounds_of_the_project():
    support = (ROOT / "docs/support.md").read_text("utf-8").split("## Versions of libraries")[1].split("\n## ")[0]
    rows = re.findall(r"^\| ([\w-]+) \| ([\d.]+) \|", support, re.MULTILINE)
    bounds = dict(re.match(r"([\w-]+)>=([\d.]+)", each).groups() for each in PROJECT["project"]["dependencies"])
    assert len(rows) > 4 and {name: bounds[name] for name, _ in rows} == dict(rows)


def test_actions_are_pinned_and_no_workflow_may_write():
    for path in (ROOT / ".github/workflows").glob("*.yml"):
        text = path.read_text("utf-8")
        assert all(re.fullmatch(r"\S+@[0-9a-f]{40} # v\S+", use) for use in re.findall(r"uses: (.*)", text)), path
        assert re.search(r"^permissions:", text, re.MULTILINE) and "contents: write" not in text
        assert text.count("timeout-minutes:") == text.count("runs-on:")


def test_only_the_job_that_publishes_has_an_identity():
    text = (ROOT / ".github/workflows/release.yml").read_text("utf-8")
    build, publish = text.split("  publish:\n")
    assert "id-token" not in build and "id-token: write" in publish and "environment: pypi" in publish
    assert "attestations: true" in publish and "checkout" not in publish and "password" not in text


def test_forms_ask_for_versions():
    for name in ("bug.yml", "question.yml"):
        assert "scmoe info" in (ROOT / ".github/ISSUE_TEMPLATE" / name).read_text("utf-8")


def test_info_names_the_versions():
    from typer.testing import CliRunner

    from scmoe.cli import app

    done = CliRunner().invoke(app, ["info"])
    assert done.exit_code == 0, done.output
    lines = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
    assert lines["scmoe"] and lines["anndata"] == version("anndata") and lines["devices"]


@pytest.fixture
def contents():
    spec = importlib.util.spec_from_file_location("contents", ROOT / "tests/release/contents.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


MODEL_FILES = ("settings.json", "weights.safetensors", "README.md")
WHEEL = {
    "scmoe/__init__.pyi": "",
    "scmoe/cli/__init__.py": "",
    "scmoe/py.typed": "",
    "scmoe/datasets/files/bmmc_cite.h5mu": "",
    **dict.fromkeys((f"scmoe/datasets/files/reference_bmmc_cite/{name}" for name in MODEL_FILES), ""),
    "x.dist-info/METADATA": "Name: scmoe\n",
    "x.dist-info/licenses/LICENSE": "",
    "x.dist-info/licenses/LICENSES/bmmc_cite.txt": "",
}
SOURCE = ["LICENSE", "README.md", "CHANGELOG.md", "CITATION.cff", "pyproject.toml", "src/scmoe/py.typed", "tests/a.py"]


def make(folder: Path, wheel: dict[str, str], source: list[str]) -> Path:
    with zipfile.ZipFile(folder / "x.whl", "w") as archive:
        for name, text in wheel.items():
            archive.writestr(name, text)
    with tarfile.open(folder / "x.tar.gz", "w:gz") as archive:
        for name in source:
            archive.addfile(tarfile.TarInfo(f"x/{name}"), io.BytesIO())
    return folder


def test_good_distributions_pass(contents, tmp_path):
    assert contents.problems(make(tmp_path, WHEEL, SOURCE)) == []


FAULTS = {
    "data without a license": ({"scmoe/datasets/files/pbmc.h5ad": ""}, [], "may be passed on"),
    "a stray top level": ({"tests/test_a.py": ""}, [], "is not of the package"),
    "a cache": ({"scmoe/__pycache__/a.pyc": ""}, [], "is of a machine"),
    "a large file": ({"scmoe/large.py": "x" * 4_000_000}, [], "MB"),
    "an address": ({"x.dist-info/METADATA": "Project-URL: Home, https://example.org\n"}, [], "leads nowhere"),
    "a git folder": ({}, [".git/config"], "is of a machine"),
    "a way out": ({}, ["../a.py"], "leaves the folder"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_of_distributions_are_found(fault, contents, tmp_path):
    wheel, source, words = FAULTS[fault]
    problems = contents.problems(make(tmp_path, WHEEL | wheel, SOURCE + source))
    assert len(problems) >= 1 and words in problems[0]


@pytest.mark.parametrize("missing", ["scmoe/py.typed", "x.dist-info/licenses/LICENSES/bmmc_cite.txt"])
def test_what_is_missing_is_found(missing, contents, tmp_path):
    wheel = {name: text for name, text in WHEEL.items() if name != missing}
    assert any("missing" in problem for problem in contents.problems(make(tmp_path, wheel, SOURCE)))
