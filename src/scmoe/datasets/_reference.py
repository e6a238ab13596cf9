"""Models that come with the package, by name."""

from difflib import get_close_matches
from importlib import import_module, resources
from pathlib import Path
from typing import Any

from scmoe.arguments._checked import checks_arguments

FOLDER = "reference_{}"
SHIPPED = ("bmmc_cite",)
SCRIPTED = {"pbmc10k_cite": "scmoe benchmark train-reference pbmc10k_cite -o pbmc10k_model"}
"""Models of data that may not ship, and the command that trains them."""


@checks_arguments
def reference(name: str) -> Any:
    """A trained model that comes with the package: labels for new cells without training; works offline.

    Parameters
    ----------
    name
        ``"bmmc_cite"``: the 600 bone-marrow cells of `bmmc_cite` (1000 genes, 134 proteins, two donors), with the 19
        labels of its ``obs["coarse_type"]``. The user guide says how right they are in blood of another donor.

    Returns
    -------
    scmoe.model.SCMOE
        On the CPU, attached to no data.

    Raises
    ------
    ValueError
        There is no such model.

    Notes
    -----
    ``scmoe model info bmmc_cite`` prints what it is; ``scmoe annotate cells.h5 --model bmmc_cite`` uses it. The model
    is made by ``scmoe benchmark train-reference bmmc_cite``, and under the license of its data, MIT.

    Examples
    --------
    >>> model = scmoe.datasets.reference("bmmc_cite")
    >>> query = scmoe.datasets.bmmc_cite()[:50].copy()
    >>> scmoe.pp.prepare(query)
    >>> used = scmoe.tl.map_query(query, model)
    >>> query.obs["scmoe_label"].shape
    (50,)
    """
    # By name: models are made by a folder below this one, which only says where the files are.
    return import_module("scmoe.model").SCMOE.load(reference_folder(name))


def reference_folder(name: str) -> Path:
    """The folder of a model that comes with the package; a ValueError that suggests names if there is none."""
    if name in SHIPPED:
        return Path(str(resources.files("scmoe.datasets") / "files" / FOLDER.format(name)))
    if name in SCRIPTED:
        raise ValueError(
            f"The model {name!r} does not come with scmoe, for its data may not be passed on. Train it, which takes "
            f"minutes: {SCRIPTED[name]}. Then use the folder."
        )
    close = get_close_matches(name, [*SHIPPED, *SCRIPTED], n=1, cutoff=0.5)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    raise ValueError(f"There is no reference model {name!r}; there is {', '.join(map(repr, SHIPPED))}.{hint}")
