"""What docs/architecture.md promises: imports point one way, keys live in one file, public names are documented."""

import ast
import graphlib
import importlib
import inspect
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from functools import cache
from importlib import metadata
from pathlib import Path

import pytest
from numpydoc.validate import validate

import scmoe

SOURCE = Path(scmoe.__file__).parent
API_PAGES = SOURCE.parents[1] / "docs" / "api"
HELPERS = "_version _keys _log _check _matrix _align _errors".split()
FOLDERS = (
    "arguments io datasets pp tokens data nn metrics losses train readout model explain differential tl pl "
    "benchmark studies cli"
).split()
STORES = {"obs", "obsm", "uns", "layers"}
MODULES = sorted(path for path in SOURCE.rglob("*.py") if path.name != "__init__.py")


def _name(path: Path) -> str:
    return ".".join(("scmoe", *path.relative_to(SOURCE).with_suffix("").parts))


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _typing_only(tree: ast.Module) -> Iterator[ast.AST]:
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            yield from ast.walk(node)


def _imported(path: Path, *, typing: bool = True) -> Iterator[str]:
    """Names of the scmoe modules imported anywhere in a file, with or without those for type checkers."""
    skipped = set() if typing else set(_typing_only(_tree(path)))
    for node in set(ast.walk(_tree(path))) - skipped:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "scmoe")
        elif isinstance(node, ast.ImportFrom) and node.level:
            yield "." * node.level + (node.module or "")
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "scmoe":
            yield node.module


def _rank(module: str) -> int:
    """Root helpers come first, then the folders in their order."""
    part = module.split(".")[1]
    return -1 if part in HELPERS else FOLDERS.index(part)


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_imports_come_from_defining_files(path: Path) -> None:
    allowed = {_name(other) for other in MODULES}
    assert not [module for module in _imported(path) if module not in allowed], "import from the file that defines it"


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_imports_point_upwards_in_the_list_of_folders(path: Path) -> None:
    assert not [module for module in _imported(path) if _rank(module) > _rank(_name(path))]


def test_there_is_no_import_cycle() -> None:
    """Imports for type checkers count: two files that name each other's types are one idea in two places."""
    graphlib.TopologicalSorter({_name(path): set(_imported(path)) for path in MODULES}).prepare()


VERBS = {"tl", "pl"}
"""Folders with one verb or figure a file."""
LARGEST_FOLDER = 24
PARTICIPLES = set("found each kept chosen mine drawn told shown taken said named wished asked heard".split())


def test_folders_are_small() -> None:
    sizes = Counter(path.parent for path in MODULES)
    large = {str(folder): n for folder, n in sizes.items() if n > LARGEST_FOLDER and folder.name not in VERBS}
    assert large == {}


def test_prefixes_that_three_files_share_are_folders() -> None:
    prefixes = Counter((path.parent, path.stem.strip("_").split("_")[0]) for path in MODULES)
    sharing = [
        p for p in MODULES if prefixes[p.parent, p.stem.strip("_").split("_")[0]] > 2 and p.parent.name not in VERBS
    ]
    assert len(sharing) < 0.05 * len(MODULES), sharing


def test_chains_of_classes_are_short() -> None:
    bases = {
        node.name: [base.id for base in node.bases if isinstance(base, ast.Name)]
        for path in MODULES
        for node in ast.walk(_tree(path))
        if isinstance(node, ast.ClassDef)
    }

    def depth(name: str) -> int:
        return 1 + max((depth(base) for base in bases[name] if base in bases and base != name), default=0)

    assert max(map(depth, bases)) <= 4


def test_names_are_nouns() -> None:
    """Bare participles ("found", "kept") leave open what was found or kept: at most 8 in 1000 lines."""
    nodes = [node for path in MODULES for node in ast.walk(_tree(path)) if isinstance(node, ast.Name)]
    lines = sum(path.read_text(encoding="utf-8").count("\n") for path in MODULES)
    assert sum(node.id in PARTICIPLES for node in nodes) <= 8 * lines / 1000


def _private_calls(path: Path) -> Iterator[str]:
    """Private attributes of a model that a file outside the model's folder uses."""
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__"):
            owner = ast.unparse(node.value)
            if owner.split(".")[-1] in {"model", "fitted", "tuned", "pretrained"}:
                yield f"{path.name}:{node.lineno} {owner}.{node.attr}"


@pytest.mark.parametrize("path", [path for path in MODULES if "model" not in path.relative_to(SOURCE).parts], ids=_name)
def test_private_methods_of_models_stay_private(path: Path) -> None:
    assert not list(_private_calls(path))


def test_the_package_works_without_its_studies(tmp_path: Path) -> None:
    shutil.copytree(SOURCE, tmp_path / "scmoe", ignore=shutil.ignore_patterns("studies", "__pycache__"))
    code = """
import scmoe.cli, scmoe.benchmark, scmoe.model
from scmoe.benchmark import run_compare
scmoe.model.SCMOE
try:
    scmoe.benchmark.run_genes
except AttributeError:
    print("no studies")
"""
    # Not measured: the copy would count as lines of the package that no test runs.
    env = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    env["PYTHONPATH"] = str(tmp_path)
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "no studies", done.stderr


def test_imported_libraries_are_dependencies() -> None:
    project = tomllib.loads((SOURCE.parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    requirements = sum(project["optional-dependencies"].values(), project["dependencies"])
    declared = {re.match(r"[\w-]+", each)[0].lower() for each in requirements}
    owners = metadata.packages_distributions()
    provided_by = {name: [each.lower() for each in owners[name]] for name in owners}
    for path in MODULES:
        nodes = list(ast.walk(_tree(path)))
        names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
        names |= {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}
        libraries = {name.split(".")[0] for name in names} - sys.stdlib_module_names - {"scmoe"}
        assert not [name for name in libraries if declared.isdisjoint(provided_by.get(name, [name]))], path


def _key_values() -> set[str]:
    """The strings that `_keys.py` assigns to a name."""
    assigned = (node.value for node in _tree(SOURCE / "_keys.py").body if isinstance(node, ast.Assign))
    return {node.value for node in assigned if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def _reads_store(node: ast.expr) -> bool:
    """Whether an expression such as ``mdata.uns[key]`` starts at one of the stores."""
    while isinstance(node, ast.Subscript):
        node = node.value
    return isinstance(node, ast.Attribute) and node.attr in STORES


def _literal_keys(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and text of each storage key that is written out rather than taken from `_keys`."""
    known = _key_values()
    for node in ast.walk(tree):
        if not isinstance(node, ast.Subscript) or not _reads_store(node.value):
            continue
        key = node.slice
        if isinstance(key, ast.JoinedStr):
            yield node.lineno, ast.unparse(key)
        if isinstance(key, ast.Constant) and isinstance(key.value, str):
            if key.value in known or key.value.startswith(("scmoe", "X_scmoe")):
                yield node.lineno, key.value


@pytest.mark.parametrize("path", [path for path in MODULES if path.name != "_keys.py"], ids=_name)
def test_storage_keys_come_from_keys_module(path: Path) -> None:
    assert not list(_literal_keys(_tree(path)))


@pytest.mark.parametrize("code", ['m.obsm["X_scmoe"]', 'm.uns[key]["history"]', 'm.mod[t].layers[f"a_{t}"]'])
def test_literal_storage_key_is_found(code: str) -> None:
    assert list(_literal_keys(ast.parse(code)))


def _public() -> Iterator[str]:
    """``subpackage.name`` for every name that the stub of a public subpackage lists."""
    for package in scmoe._subpackages:
        for node in _tree(SOURCE / package / "__init__.pyi").body:
            if isinstance(node, ast.ImportFrom):
                yield from (f"{package}.{alias.name}" for alias in node.names)


PUBLIC = sorted(_public())


@pytest.mark.parametrize("name", PUBLIC)
def test_public_name_documents_its_parameters(name: str) -> None:
    package, attribute = name.split(".")
    thing = getattr(importlib.import_module(f"scmoe.{package}"), attribute)
    routines = inspect.getmembers(thing, inspect.isroutine) if inspect.isclass(thing) else ()
    own = [key for key, member in routines if str(getattr(member, "__module__", "")).startswith("scmoe.")]
    methods = [f"scmoe.{name}.{key}" for key in own if not key.startswith("_")]
    problems = {each: validate(each)["errors"] for each in (f"scmoe.{name}", *methods)}
    checked = {"GL08", "PR01", "PR02", "PR03"}  # no docstring; parameters missing, unknown, out of order
    assert not [(each, text) for each, errors in problems.items() for code, text in errors if code in checked]


@pytest.mark.parametrize("name", PUBLIC)
def test_public_name_is_listed_in_api_page(name: str) -> None:
    if not API_PAGES.exists():
        pytest.skip("the documentation is not beside the tests")
    page = API_PAGES / f"{name.split('.')[0]}.md"
    assert name in page.read_text(encoding="utf-8").split()


def test_import_loads_no_heavy_library() -> None:
    heavy = {"torch", "lightning", "scvi", "scanpy", "anndata", "mudata", "pandas", "matplotlib"}
    code = f"import sys, scmoe; print(*({heavy!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
