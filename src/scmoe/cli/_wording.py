"""Messages of the package speak of arguments in Python; on the command line they speak of options."""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager

from scmoe._errors import reported_errors
from scmoe._log import logger

OPTIONS = {
    "batch_key": "--batch",
    "labels_key": "--labels-key",
    "unlabeled_category": "--unlabeled",
    "split_key": "--split-key",
    "use_var": "--use-var",
    "class_balance": "--class-balance",
    "groupby": "--labels-key",
    "n_clusters": "--n-clusters",
    "label_weight": "--label-weight",
    "max_epochs": "--max-epochs",
    "set_aside": "--set-aside",
    "n_top_features": "--n-top-features",
    "reject_label": "--reject-label",
    "transform_batch": "--transform-batch",
    "checkpoint_dir": "--output",
    "on_disk": "--on-disk",
    "cache_dir": "--cache-dir",
    "num_nodes": "--nodes",
}
"""Arguments that no sentence holds as words."""
WORDS = {
    "kinds": "--kind",
    "layers": "--layer",
    "layer": "--layer",
    "modalities": "--modality",
    "modality": "--modality",
    "missing": "--missing",
    "genome": "--genome",
    "coverage": "--coverage",
    "source": "--source",
    "target": "--target",
    "values": "--values",
    "vocabulary": "--vocabulary",
    "preset": "--preset",
    "seed": "--seed",
    "devices": "--devices",
    "resume": "--resume",
    "overwrite": "--overwrite",
    "adapt": "--adapt",
    "predict": "--predict",
    "atlas": "--atlas",
    "features": "--features",
    "color": "--color",
    "key": "--key",
}
"""Arguments that are words as well: known by the ``=`` after them."""
MAPPING = re.compile(r"""\b(kinds|layers)=\{['"]?([^'"{}]*?)['"]?: ?['"]?([^'"{}]*?)['"]?\}""")
"""Such as ``kinds={'rna': 'protein'}``."""
ENTRY = re.compile(r"""\b(kinds|layers)\[['"]([^'"]*)['"]\]""")
"""Such as ``kinds['rna']``."""
SUBJECT = re.compile(r"\b(kinds|layers|features)(?= names )")
VALUE = re.compile(rf"""\b({"|".join([*OPTIONS, *WORDS])})=(?:(['"])([^'"]*)\2|(\w+))?""")
BARE = re.compile(rf"\b({'|'.join(OPTIONS)})\b|(?<!-)\b({'|'.join(WORDS)})(?= must be )")
ALL = re.compile(r"\b(?:n_top_features|use_var)=None\b")
PREPARE = re.compile(r"scmoe\.pp\.prepare\(mdata(?:, ([^()]*))?\)")


def in_options(message: str) -> str:
    """A message with options in place of arguments, such as ``--batch donor`` for ``batch_key='donor'``."""
    names = {**OPTIONS, **WORDS}
    message = message.replace("scmoe.datasets.read(path, on_disk=True)", OPTIONS["on_disk"])
    message = ALL.sub("--all-features", message)
    message = MAPPING.sub(lambda match: f"{names[match[1]]} {match[2]}={match[3]}", message)
    message = ENTRY.sub(lambda match: f"{names[match[1]]} {match[2]}", message)
    message = SUBJECT.sub(lambda match: names[match[1]], message)
    message = VALUE.sub(_option, message)
    message = BARE.sub(lambda match: {**OPTIONS, **WORDS}[match[1] or match[2]], message)
    return PREPARE.sub(lambda match: f"this command with {match[1]}" if match[1] else "this command", message)


def _option(match: re.Match[str]) -> str:
    option = {**OPTIONS, **WORDS}[match[1]]
    value = match[3] if match[2] else match[4]
    if value in (None, "True"):
        return option
    return f"{option} {'none' if value == 'None' else value}"


@contextmanager
def reported(hint: str = "") -> Iterator[None]:
    """As `scmoe._errors.reported_errors`, with options in place of arguments in errors and in the log."""
    logger.addFilter(_reword)
    try:
        with reported_errors(hint, wording=in_options):
            yield
    finally:
        logger.removeFilter(_reword)


def _reword(record: logging.LogRecord) -> bool:
    record.msg, record.args = in_options(record.getMessage()), ()
    return True
