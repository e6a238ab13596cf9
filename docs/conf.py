"""Sphinx configuration."""

import inspect
import os
import re
import shutil
import urllib.request
from dataclasses import fields, is_dataclass
from datetime import datetime
from importlib import import_module
from importlib.metadata import metadata
from pathlib import Path

from sphinx.application import Sphinx

import scmoe

HERE = Path(__file__).parent

info = metadata("scmoe")
project = info["Name"]
author = info["Author"]
copyright = f"{datetime.now():%Y}, {author}"
version = release = info["Version"]

extensions = [
    "IPython.sphinxext.ipython_console_highlighting",
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx.ext.napoleon",
    "sphinx_autodoc_typehints",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinxcontrib.bibtex",
    "sphinxcontrib.katex",
]

needs_sphinx = "8.1"
nitpicky = True
# Private: users catch OSError.
nitpick_ignore = [("py:exc", name) for name in ("WriteError", "scmoe.io._files.WriteError")]
nitpick_ignore_regex = [("py:class", r"scmoe\.(nn|data|readout|model|explain)\.(\w+\.)*_.*")]
default_role = "literal"
templates_path = ["_templates"]
exclude_patterns = ["_build", "Thumbs.db", "**.ipynb_checkpoints"]
bibtex_bibfiles = ["references.bib"]
bibtex_reference_style = "author_year"

autosummary_generate = True
autodoc_member_order = "groupwise"
napoleon_google_docstring = False
napoleon_include_init_with_doc = False
napoleon_use_rtype = True
napoleon_use_param = True
typehints_defaults = "braces"
always_use_bars_union = True

myst_enable_extensions = ["amsmath", "colon_fence", "deflist", "dollarmath", "html_image"]
myst_heading_anchors = 4
myst_url_schemes = ("http", "https", "mailto")

# The notebooks carry their outputs, and `nox -s tutorials` executes them; here they are only shown.
nb_execution_mode = "off"
nb_output_stderr = "show"  # the log
nb_merge_streams = True
for notebook in sorted((HERE.parent / "tutorials").glob("*.ipynb")):
    shutil.copy(notebook, HERE / "tutorials")

# Classes appear under the public module that offers them, not under the private file that defines them, and without the
# members that they inherit from other libraries (but for these) and the fields that the class docstring lists as
# parameters.
INHERITED = {"history", "is_trained", "train_indices", "validation_indices", "test_indices"}
hidden_members = {}
for package in scmoe._subpackages:
    module = import_module(f"scmoe.{package}")
    for name in module.__all__:
        if inspect.isclass(member := getattr(module, name)):
            own = {key for base in member.__mro__ if base.__module__.startswith("scmoe.") for key in vars(base)}
            own |= INHERITED
            parameters = {field.name for field in fields(member)} if is_dataclass(member) else set()
            hidden_members[f"scmoe.{package}.{name}"] = set(dir(member)) - own | parameters
            member.__module__ = module.__name__
autosummary_context = {"hidden_members": hidden_members}


PUBLIC = re.compile(r"(?<!`)`(scmoe(?:\.\w+)+)`(?!`)")
"""What docstrings call a public name: ``scmoe.tl.train`` between single backticks."""


def _link_names(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Make links of public names in docstrings, such as those to where a parameter is explained."""
    lines[:] = [PUBLIC.sub(_link, line) for line in lines]


def _link(match: re.Match[str]) -> str:
    package, *names = match[1].split(".")[1:]
    module = import_module(f"scmoe.{package}") if package in scmoe._subpackages else None
    if module is None or not names or names[0] not in module.__all__:
        return match[0]  # a package, or a private place: as it is written
    owner = getattr(module, names[0])
    hidden = hidden_members.get(f"scmoe.{package}.{names[0]}", ())
    if names[1:] and (names[1] in hidden or not hasattr(owner, names[1])):
        return match[0]
    return f":py:obj:`{match[1]}`"


def setup(app: Sphinx) -> None:
    """Connect what this file adds."""
    app.connect("autodoc-process-docstring", _link_names)


def _online() -> bool:
    """Whether the inventories can be had; SCMOE_DOCS_OFFLINE=1 skips the look."""
    if os.environ.get("SCMOE_DOCS_OFFLINE"):
        return False
    try:
        urllib.request.urlopen("https://docs.python.org/3/objects.inv", timeout=5).close()
    except OSError:
        return False
    return True


_inventories = {
    "python": "https://docs.python.org/3",
    "anndata": "https://anndata.scverse.org/en/stable",
    "scanpy": "https://scanpy.scverse.org/en/stable",
    "mudata": "https://mudata.scverse.org/en/stable",
    "scvi": "https://docs.scvi-tools.org/en/stable",
    "numpy": "https://numpy.org/doc/stable",
    "scipy": "https://docs.scipy.org/doc/scipy",
    "pandas": "https://pandas.pydata.org/docs",
    "matplotlib": "https://matplotlib.org/stable",
    "torch": "https://docs.pytorch.org/docs/stable",
    "lightning": "https://lightning.ai/docs/pytorch/stable",
}
intersphinx_timeout = 20
if _online():
    intersphinx_mapping = {name: (url, None) for name, url in _inventories.items()}
else:  # only links into other projects go unchecked; links within scmoe stay checked
    intersphinx_mapping = {}
    nitpick_ignore_regex += [("py:.*", r"(?!scmoe\b).*")]

html_theme = "sphinx_book_theme"
html_static_path = ["_static"]
html_css_files = ["tables.css"]
html_title = project
html_theme_options = {
    "navigation_with_keys": False,
    "navbar_persistent": [],
}
pygments_style = "default"
katex_prerender = False  # the prerender server has a start-up race
katex_css_path = "katex/katex.min.css"
