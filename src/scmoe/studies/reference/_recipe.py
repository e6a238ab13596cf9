"""`train_reference`: the reference models, from data that ship with the package or that everybody may download."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import pandas as pd
from mudata import MuData

from scmoe._keys import UNKNOWN_LABEL
from scmoe.arguments._checked import checks_arguments
from scmoe.datasets._bundled import bmmc_cite
from scmoe.datasets._download import pbmc10k_cite
from scmoe.datasets._read import read
from scmoe.datasets._reference import SHIPPED
from scmoe.io._files import atomic_path
from scmoe.model.hub._card import describe, how_to_use
from scmoe.model.hub._contents import CARD
from scmoe.model.hub._info import model_info
from scmoe.pp._prepare import prepare
from scmoe.studies.reference._gates import gate
from scmoe.tl._train import train

if TYPE_CHECKING:
    from scmoe.model._scmoe import SCMOE

N_GENES = 2000
GATED = "gated_type"
"""Column of obs with labels by gates."""


class Recipe(NamedTuple):
    """What a reference model is made of."""

    labels_key: str
    batch_key: str | None
    license: str
    description: str


RECIPES = {
    "bmmc_cite": Recipe(
        "coarse_type",
        "batch",
        "mit",
        "Human bone marrow, CITE-seq (10x 3' v3, TotalSeq-B): 600 cells of two donors of site 1 of the NeurIPS 2021 "
        "multimodal benchmark (GEO GSE194122), redistributed by Open Problems in Single-Cell Analysis under the MIT "
        "license. Labels are 19 groups of the benchmark's 41 types; some rest on three to seven cells.",
    ),
    "pbmc10k_cite": Recipe(
        GATED,
        None,
        "other",
        "Human blood, CITE-seq (10x 3' v3, TotalSeq-B): about 7000 cells of one healthy donor, published by 10x "
        "Genomics. Labels are gates on nine of its own proteins, so they say nothing that these do not.",
    ),
}


@checks_arguments
def train_reference(
    name: Literal["bmmc_cite", "pbmc10k_cite"],
    output: str | Path,
    *,
    data: str | Path | None = None,
    labels: str | Path | None = None,
    seed: int = 0,
    max_epochs: int | None = None,
    overwrite: bool = False,
) -> "SCMOE":
    """Train a reference model as it is made for the package, and write it to a folder with a card.

    Parameters
    ----------
    name
        ``"bmmc_cite"``: of the bundled cells. ``"pbmc10k_cite"``: of blood cells that are downloaded from 10x Genomics
        once, with labels by gates on their proteins; it does not come with the package.
    output
        Folder of the model.
    data
        File of the blood cells, in place of downloading.
    labels
        Table with columns ``barcode`` and ``cell_type``, in place of gates. ``"unassigned"`` is no label.
    seed
        Of the training.
    max_epochs
        Passes over the data; None: set by their size.
    overwrite
        Whether to replace a model that is there.

    Returns
    -------
    SCMOE
        The model, with the training data.

    Raises
    ------
    ConnectionError
        The cells cannot be downloaded.
    KeyError
        Proteins that gates need are missing.

    Examples
    --------
    >>> model = scmoe.studies.train_reference("bmmc_cite", "model")  # doctest: +SKIP
    """
    recipe, is_bundled = RECIPES[name], name in SHIPPED
    if is_bundled and (data is not None or labels is not None):
        raise ValueError(f"The model {name!r} is made of bundled cells. Leave data and labels out.")
    mdata = bmmc_cite() if is_bundled else blood_cells(data, labels)
    prepare(mdata, n_top_features=N_GENES)
    model = train(mdata, batch_key=recipe.batch_key, labels_key=recipe.labels_key, seed=seed, max_epochs=max_epochs)
    about = {"description": recipe.description, "license": recipe.license}
    model.record = replace(model.record, about=about)
    folder = Path(output).expanduser()
    if overwrite:
        (folder / CARD).unlink(missing_ok=True)  # a folder with other files than a model's is never replaced
    model.save(folder, overwrite=overwrite)
    info = model_info(folder)
    with atomic_path(folder / CARD) as path:
        load = f'scmoe.datasets.reference("{name}")' if name in SHIPPED else f'scmoe.model.SCMOE.load("{output}")'
        text = [
            f"# Reference model {name}",
            describe(info),
            how_to_use(info, name if name in SHIPPED else str(output), load),
        ]
        path.write_text("\n\n".join(text) + "\n", encoding="utf-8")
    return model


def blood_cells(data: str | Path | None, labels: str | Path | None) -> MuData:
    """Blood cells with types in ``obs["gated_type"]``, from a file and a table or from the web and by gates."""
    mdata = pbmc10k_cite() if data is None else read(data)
    types = gate(mdata) if labels is None else table_labels(labels, mdata.obs_names)
    mdata.obs[GATED] = pd.Categorical(types)
    return mdata


def table_labels(path: str | Path, cells: pd.Index) -> pd.Series:
    """Labels of cells from a table of barcodes."""
    table = pd.read_csv(path)
    if missing := {"barcode", "cell_type"} - set(table):
        raise KeyError(f"{path} must have the columns barcode and cell_type; it lacks {', '.join(sorted(missing))}.")
    types = table.set_index("barcode")["cell_type"].replace("unassigned", UNKNOWN_LABEL)
    return types.reindex(cells, fill_value=UNKNOWN_LABEL)
