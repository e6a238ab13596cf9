"""Tasks: `nox -l` lists them."""

import os
import shutil
from pathlib import Path

import nox

nox.needs_version = ">=2025.5"
nox.options.default_venv_backend = "virtualenv"
nox.options.reuse_venv = "yes"
nox.options.sessions = ["lint", "typecheck", "test"]

PYPROJECT = nox.project.load_toml("pyproject.toml")
# Where the CPU build of torch is the one at hand, this pin takes it; with CUDA it takes the ordinary build.
CONSTRAINTS = ["-c", "constraints.txt"]
ENV = {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"), "MPLBACKEND": "agg"}
NOTEBOOK_ENV = ENV | {"MPLBACKEND": None}  # notebooks need the inline backend, else no figure shows
CELL_SECONDS = 400


def _groups(*names: str) -> list[str]:
    return nox.project.dependency_groups(PYPROJECT, *names)


def _install(session: nox.Session, *groups: str) -> None:
    session.install(*CONSTRAINTS, "-e", ".", *_groups(*groups))


@nox.session
def demo(session: nox.Session) -> None:
    """Train on the bundled data; leaves a MuData, figures and a model folder."""
    _install(session)
    session.run("scmoe", "demo", *session.posargs, env=ENV)


@nox.session
def test(session: nox.Session) -> None:
    """Unit tests with coverage."""
    _install(session, "test")
    coverage = ["--cov", "--cov-report=term-missing:skip-covered", "--cov-fail-under=90"]
    session.run("pytest", *(session.posargs or coverage), env=ENV)


@nox.session
def lint(session: nox.Session) -> None:
    """Ruff and codespell; the package itself is not needed."""
    session.install(*CONSTRAINTS, *_groups("lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("codespell", "src", "tests", "docs", "README.md", "CHANGELOG.md")


@nox.session
def typecheck(session: nox.Session) -> None:
    """Mypy."""
    _install(session, "typecheck")
    session.run("mypy")


@nox.session
def docs(session: nox.Session) -> None:
    """Build the HTML pages; any warning is an error."""
    _install(session, "doc")
    build = ["sphinx-build", "-M", "html", "docs", "docs/_build", "-W", "--keep-going"]
    session.run(*build, *session.posargs, env=NOTEBOOK_ENV)


@nox.session
def tutorials(session: nox.Session) -> None:
    """Execute copies of the tutorial notebooks; fail on an error."""
    _install(session, "doc")
    folder = Path(session.create_tmp())
    for notebook in sorted(Path("tutorials").glob("*.ipynb")):
        copy = shutil.copy(notebook, folder)
        session.run("jupyter", "execute", f"--timeout={CELL_SECONDS}", str(copy), env=NOTEBOOK_ENV)


@nox.session
def bench(session: nox.Session) -> None:
    """Speed and memory beside baselines."""
    _install(session)
    session.run("scmoe", "benchmark", "speed", "-o", "bench/speed", *session.posargs, env=ENV)


@nox.session
def compare(session: nox.Session) -> None:
    """Scores beside other methods on the bundled data."""
    _install(session)
    session.install(*CONSTRAINTS, *PYPROJECT["project"]["optional-dependencies"]["bench"])
    data = ["src/scmoe/datasets/files/bmmc_cite.h5mu", "--labels", "cell_type", "--batch", "batch"]
    session.run("scmoe", "benchmark", "compare", *data, "-o", "bench/compare", *session.posargs, env=ENV)


@nox.session
def seeds(session: nox.Session) -> None:
    """The main job with three seeds; each run prints its scores beside those of PCA and ridge."""
    _install(session)
    for seed in "012":
        session.run("scmoe", "demo", "--seed", seed, "-o", f"bench/seed{seed}", *session.posargs, env=ENV)
