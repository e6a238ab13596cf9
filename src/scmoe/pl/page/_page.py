"""All sections of a report, and the page that they make."""

from collections.abc import Sequence
from importlib import resources

import jinja2
import pandas as pd
from mudata import MuData

from scmoe._keys import PARAMS, Keys
from scmoe._version import __version__
from scmoe.pl.page._batches import batches_section
from scmoe.pl.page._cells import pack_cells
from scmoe.pl.page._data import data_section
from scmoe.pl.page._experts import experts_section
from scmoe.pl.page._labels import clusters_section, labels_section
from scmoe.pl.page._markers import markers_section
from scmoe.pl.page._predictions import predictions_section
from scmoe.pl.page._query import query_section
from scmoe.pl.page._section import Section
from scmoe.pl.page._settings import settings_section
from scmoe.pl.page._training import training_section

TEMPLATE = "template"


def render(mdata: MuData, keys: Keys, *, color: Sequence[str], title: str) -> str:
    """The page as HTML.

    Parameters
    ----------
    mdata, keys
        Data with results, and where these are.
    color
        Columns and features to show first on the map.
    title
        Heading.
    """
    batch_key, labels_key = (setup_column(mdata, keys.name, name) for name in ("batch_key", "labels_key"))
    labels = next((name for name in (labels_key, keys.label, *color) if _has_categories(mdata, name)), None)
    sections = [
        data_section(mdata, batch_key),
        training_section(mdata, keys.name),
        query_section(mdata, keys),
        clusters_section(mdata, keys, labels),
        markers_section(mdata, keys),
        labels_section(mdata, keys),
        batches_section(mdata, keys, batch_key),
        predictions_section(mdata, keys),
        experts_section(mdata, keys.name),
        settings_section(mdata, keys.name),
    ]
    files = resources.files(__package__) / TEMPLATE
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    template = environment.from_string((files / "page.html").read_text(encoding="utf-8"))
    # Style and script are ours, so they may stand in the page as they are.
    return template.render(
        title=title,
        version=__version__,
        n_cells=mdata.n_obs,
        sections=[section for section in sections if isinstance(section, Section)],
        cells=pack_cells(mdata, keys, color),
        style=(files / "page.css").read_text(encoding="utf-8"),
        script=(files / "map.js").read_text(encoding="utf-8"),
    )


def _has_categories(mdata: MuData, name: str | None) -> bool:
    return name in mdata.obs and isinstance(mdata.obs[name].dtype, pd.CategoricalDtype)


def setup_column(mdata: MuData, key: str, name: str) -> str | None:
    """A column that the model was set up with, such as its ``"batch_key"``, if these data have it."""
    column = mdata.uns[key].get(PARAMS, {}).get("setup", {}).get(name)
    return str(column) if column in mdata.obs else None
