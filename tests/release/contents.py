"""What a source distribution and a wheel hold: ``python tests/release/contents.py dist``; exits with 1 for a problem.

Only files that may be passed on, with their licenses; nothing of the machine; no more megabytes than a package of
source needs.
"""

import re
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

LARGEST = {".whl": 6e6, ".gz": 12e6}
"""Bytes of a distribution."""
LARGEST_FILE = 3e6
"""Bytes of one file in it."""
CODE = {".py", ".pyi", ".js", ".css", ".html", ".typed"}
DATA = {
    "scmoe/datasets/files/bmmc_cite.h5mu": "bmmc_cite.txt",
    "scmoe/datasets/files/reference_bmmc_cite/settings.json": "bmmc_cite.txt",
    "scmoe/datasets/files/reference_bmmc_cite/weights.safetensors": "bmmc_cite.txt",
    "scmoe/datasets/files/reference_bmmc_cite/README.md": "bmmc_cite.txt",
}
"""Other files of the wheel, each with the file in LICENSES that allows it to be passed on."""
UNWANTED = re.compile(r"(^|/)(__pycache__|\.git|\.nox|\.ipynb_checkpoints|\.DS_Store|\.env|bench|dist)(/|$)|\.py[co]$")
NEEDED = {"scmoe/py.typed", "scmoe/__init__.pyi", "scmoe/cli/__init__.py"}


def wheel_problems(path: Path) -> Iterator[str]:
    """What is wrong with a wheel."""
    with zipfile.ZipFile(path) as archive:
        sizes = {info.filename: info.file_size for info in archive.infolist() if not info.is_dir()}
        metadata = next(name for name in sizes if name.endswith(".dist-info/METADATA"))
        text = archive.read(metadata).decode()
    info = metadata.split("/")[0]
    licenses = {PurePosixPath(name).name for name in sizes if name.startswith(f"{info}/licenses/")}
    yield from _common(sizes)
    for name in NEEDED - set(sizes):
        yield f"{name} is missing"
    if "LICENSE" not in licenses:
        yield "the license is missing"
    for name in sizes:
        if name.startswith(f"{info}/"):
            continue
        if not name.startswith("scmoe/"):
            yield f"{name} is not of the package"
        elif PurePosixPath(name).suffix not in CODE and name not in DATA:
            yield f"{name} is neither code nor among the data that may be passed on (DATA in this script)"
    for name, license_file in DATA.items():
        if name not in sizes or license_file not in licenses:
            yield f"{name} or its license LICENSES/{license_file} is missing"
    for line in text.splitlines():
        if line.startswith("Project-URL:") and re.search(r"example\.(org|com|net)", line):
            yield f"an address leads nowhere: {line}"


def sdist_problems(path: Path) -> Iterator[str]:
    """What is wrong with a source distribution."""
    with tarfile.open(path) as archive:
        members = [member for member in archive.getmembers() if not member.isdir()]
    for member in members:
        if not member.isfile():
            yield f"{member.name} is a link"
    sizes = {member.name.split("/", 1)[1]: member.size for member in members}
    yield from _common(sizes)
    for name in ("LICENSE", "README.md", "CHANGELOG.md", "CITATION.cff", "pyproject.toml", "src/scmoe/py.typed"):
        if name not in sizes:
            yield f"{name} is missing"
    if not any(name.startswith("tests/") for name in sizes):
        yield "the tests are missing"


def _common(sizes: dict[str, int]) -> Iterator[str]:
    for name, size in sizes.items():
        if UNWANTED.search(name):
            yield f"{name} is of a machine, not of the package"
        if size > LARGEST_FILE:
            yield f"{name} has {size / 1e6:.1f} MB; at most {LARGEST_FILE / 1e6:.0f} MB are meant"
        if name.startswith("/") or ".." in PurePosixPath(name).parts:
            yield f"{name} leaves the folder"


def problems(folder: Path) -> list[str]:
    """What is wrong with the distributions of a folder, which holds one of each kind."""
    found = []
    for pattern, check in {"*.whl": wheel_problems, "*.tar.gz": sdist_problems}.items():
        paths = sorted(folder.glob(pattern))
        if len(paths) != 1:
            found.append(f"{folder} holds {len(paths)} {pattern}; expected one")
            continue
        size = paths[0].stat().st_size
        print(f"{paths[0].name}: {size / 1e6:.2f} MB")
        if size > LARGEST[paths[0].suffix]:
            found.append(
                f"{paths[0].name} has {size / 1e6:.1f} MB; at most {LARGEST[paths[0].suffix] / 1e6:.0f} are meant"
            )
        found += [f"{paths[0].name}: {problem}" for problem in check(paths[0])]
    return found


if __name__ == "__main__":
    reasons = problems(Path(sys.argv[1]))
    print("\n".join(reasons) or "Nothing is wrong with them.")
    sys.exit(bool(reasons))
