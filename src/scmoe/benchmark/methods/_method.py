"""What the comparison knows of a method, in one record: plan, skipping, tasks and loading all read it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
from mudata import MuData

from scmoe.benchmark._inputs import ANNOTATE, EMBED, MAP, MOSAIC, PREDICT, Facts, Fold, Mosaic, Run
from scmoe.benchmark._outputs import Embedding, Integration, Prediction, QueryMapping


@dataclass(frozen=True, kw_only=True)
class Method:
    """One method of the comparison; of the tasks it does those that it has a function for.

    Parameters
    ----------
    name
        In options, tables and files.
    embed
        ``(mdata, run)`` to the embedding of all cells; no label may be used.
    map_query
        ``(reference, query, run)`` to the embedding of both parts; the query may be looked at after the fit only. A
        method that embeds and has none is listed as not run.
    predict
        ``(train, test, run)`` to ``run.target`` of the test cells, which have ``run.source`` alone.
    annotate
        ``(fold, run)`` to probabilities, test cells x labels of training cells.
    integrate
        ``(mosaic, run)`` to the embedding of its cells and their missing modalities, or some of these.
    unsuited
        ``(run, facts)`` to the reason why the method cannot do a run; empty if it can.
    libraries
        Modules to load before the clock starts. Without the package of one, the method is skipped.
    slow
        Whether it takes minutes: it is then left out of quick comparisons, and has one seed on many cells.
    on_request
        Whether it is run only if `methods` has its name or its group.
    settings
        Settings of a model of this package: a stored result is valid with these and the same code only. Else None.
    """

    name: str
    embed: Callable[[MuData, Run], Embedding] | None = None
    map_query: Callable[[MuData, MuData, Run], QueryMapping] | None = None
    predict: Callable[[MuData, MuData, Run], Prediction] | None = None
    annotate: Callable[[Fold, Run], pd.DataFrame] | None = None
    integrate: Callable[[Mosaic, Run], Integration] | None = None
    unsuited: Callable[[Run, Facts], str] = lambda run, facts: ""
    libraries: tuple[str, ...] = ()
    slow: bool = False
    on_request: bool = False
    settings: Mapping[str, Any] | None = None

    def does(self, task: str) -> bool:
        """Whether it has a function for a task."""
        functions = {
            EMBED: self.embed,
            MAP: self.embed,  # those that cannot are to be seen in the report
            PREDICT: self.predict,
            ANNOTATE: self.annotate,
            MOSAIC: self.integrate,
        }
        return functions[task] is not None


def needs_counts(facts: Facts, *kinds: str) -> str:
    """Reason to skip data other than one modality of each kind."""
    present = list(facts.kinds.values())
    if any(present.count(kind) != 1 for kind in kinds):
        return f"needs raw counts of one modality each of {' and '.join(kinds)}"
    return f"is for {' and '.join(kinds)} only" if len(present) > len(kinds) else ""


def needs_complete_cells(facts: Facts) -> str:
    """Reason to skip data in which a cell lacks a modality."""
    return "" if facts.complete else "needs every modality in every cell"


def needs_two_modalities(facts: Facts) -> str:
    """Reason to skip data of one modality."""
    return "" if len(facts.kinds) > 1 else "needs two modalities"


def needs_few_cells(facts: Facts, limit: int) -> str:
    """Reason to skip large data."""
    return f"more than {limit} cells" if facts.n_cells > limit else ""
