"""Section: whether the training went well."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from mudata import MuData

from scmoe._keys import DIAGNOSTICS, HISTORY, PARAMS
from scmoe.pl._history import history
from scmoe.pl.page._section import Section, count, number, picture

MINUTE = 60


def training_section(mdata: MuData, key: str) -> Section | None:
    """Verdict, losses and figures of the training; None for a query, whose model was trained elsewhere."""
    results = mdata.uns[key]
    if HISTORY not in results:
        return None
    diagnostics: Mapping[str, Any] = results.get(DIAGNOSTICS, {})
    params: Mapping[str, Any] = results.get(PARAMS, {})
    verdict = [str(sentence) for sentence in np.atleast_1d(diagnostics.get("verdict", []))]
    sentences = [] if verdict else ["The log of the training has nothing to complain about."]
    if diagnostics:
        sentences.append(
            f"{count(diagnostics['n_epochs'])} epochs, {count(diagnostics['n_steps'])} steps; the weights are of epoch "
            f"{count(diagnostics['kept_epoch'])}; {diagnostics['watched_loss']} loss at the end "
            f"{number(diagnostics['final_loss'], 3)}."
        )
    if "n_train" in params:
        sentences.append(f"Trained on {count(params['n_train'])} cells in {_duration(params.get('seconds', np.nan))}.")
    pictures = [picture(history(mdata, key=key), "Losses by epoch")] if len(results[HISTORY]) else []  # type: ignore[arg-type]
    return Section(name="training", title="The training", sentences=sentences, warnings=verdict, pictures=pictures)


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 2 * MINUTE else f"{seconds / MINUTE:.0f} min"
