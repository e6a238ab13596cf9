"""Files that list genes."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from scmoe._log import logger

HEADERS = frozenset(
    ["", "id", "ids", "index", "name", "names", "varnames", "feature", "features", "featurename", "featureid"]
    + ["gene", "genes", "geneid", "geneids", "genename", "genenames", "genesymbol", "genesymbols", "symbol", "symbols"]
    + ["hgncsymbol", "mgisymbol", "approvedsymbol", "ensembl", "ensemblid", "ensemblgeneid", "genestableid"]
)
"""What columns of genes are called, in lower case, letters only."""
CONVERT = (
    "import json, pickle; "
    'json.dump(pickle.load(open("{name}", "rb")), open("{stem}.json", "w"), default=lambda number: number.item())'
)
"""Python that makes JSON of a pickled dictionary; the numbers in Geneformer's are NumPy's."""
SPECIAL = re.compile(r"<\w+>")
"""Names of tokens that are no genes."""


def read_table(path: Path, separator: str, *, header: bool) -> pd.DataFrame:
    """Text cells of a table, whose first line is a header if `header` says so or it begins with a word of `HEADERS`."""
    try:
        # Without a header first: a gene must not be lost to one. A gene may be called NA.
        table = pd.read_csv(path, sep=separator, dtype=str, keep_default_na=False, header=None)
    except (pd.errors.EmptyDataError, pd.errors.ParserError, UnicodeDecodeError) as error:
        raise ValueError(
            f"{path.name} is no table of genes ({error}). Expected one gene a line, its name first."
        ) from error
    table = table.apply(lambda column: column.str.strip())
    if header or re.sub("[^a-z]", "", table.iloc[0, 0].lower()) in HEADERS:
        return table[1:].set_axis(table.iloc[0].tolist(), axis=1)
    logger.info("%s begins with %s, which is taken for a gene and not for a header.", path.name, table.iloc[0, 0])
    return table


def refuse_pickle(path: Path) -> None:
    """Raise a ValueError that says how to convert a pickled dictionary of genes."""
    raise ValueError(
        f"{path.name} is a pickle, and reading a pickle can run code: it is not opened. If you trust where it comes "
        f"from, convert it once, in its folder, to {path.stem}.json: "
        f"python -c '{CONVERT.format(name=path.name, stem=path.stem)}'"
    )


def read_json(path: Path) -> tuple[tuple[str, ...], Mapping[str, str]]:
    """Names in order, and aliases; a ValueError for a file of another form."""
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not valid JSON, or is cut short ({error}).") from error
    if isinstance(content, dict) and isinstance(content.get("names"), list):
        return tuple(content["names"]), content.get("aliases", {})
    if isinstance(content, list):
        return tuple(content), {}
    if isinstance(content, dict) and sorted(map(str, content.values())) == sorted(map(str, range(len(content)))):
        ordered = sorted(content, key=lambda name: int(content[name]))
        return tuple(name for name in ordered if not SPECIAL.fullmatch(name)), {}
    raise ValueError(
        f"{path.name} is no gene list: expected a list of names, or names with their places from 0 to their number - 1."
    )
