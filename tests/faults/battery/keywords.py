"""Arguments that do not exist, or that other packages call otherwise: the message names the right one."""

import inspect
from collections.abc import Iterator

from battery.calls import available, call, target
from battery.judge import Case

FAMILY = "keywords"
MEANT = (
    *(("tl.train", name, "n_hidden") for name in ("n_latent", "hidden_size", "n_hiddens")),
    *(("tl.train", name, "max_epochs") for name in ("epochs", "n_epochs", "max_epoch", "num_epochs")),
    *(("tl.train", name, "plan_kwargs") for name in ("lr", "weight_decay")),
    *(("tl.train", name, "train_kwargs") for name in ("batch_size", "early_stopping", "accelerator", "precision")),
    *(("model.SCMOE", name, "n_hidden") for name in ("n_latent", "hidden_size")),
    *(("model.SCMOE", name, "train") for name in ("lr", "max_epochs", "epochs", "batch_size")),
    *(("model.SCMOE", name, "setup_mudata") for name in ("batch_key", "labels_key")),
    *(("model.NetworkConfig", name, "n_hidden") for name in ("n_latent", "n_hiden")),
    ("model.TrainConfig", "learning_rate", "lr"),
    *(("SCMOE.train", name, "max_epochs") for name in ("epochs", "n_epochs")),
    *(("SCMOE.train", name, "plan_kwargs") for name in ("lr", "learning_rate", "weight_decay")),
    *(("SCMOE.setup_mudata", name, "labels_key") for name in ("label_key", "labels")),
    *(("SCMOE.setup_mudata", name, "batch_key") for name in ("batch", "batch_keys")),
    *(("XTRIMOGENE.train", name, "max_epochs") for name in ("epochs", "n_epochs")),
    ("XTRIMOGENE.train", "lr", "plan_kwargs"),
    ("SCMOE.train", "seed", "SCMOE"),
    ("XTRIMOGENE.train", "seed", "XTRIMOGENE"),
    *(("tl.pretrain", name, "max_epochs") for name in ("epochs", "n_epochs")),
    ("tl.pretrain", "lr", "plan_kwargs"),
    ("tl.cluster", "n_cluster", "n_clusters"),
    ("tl.impute", "targets", "target"),
    ("tl.impute", "sources", "source"),
    ("pl.expert_card", "experts", "expert"),
)
"""Call, the word that a person writes, and what is meant."""
FEATURES = (
    ("tl.impute", "target", "CD1", "adt"),
    ("tl.impute", "source", "gene1", "rna"),
    ("tl.denoise", "modality", "gene1", "rna"),
    ("tl.markers", "modality", "gene1", "rna"),
    ("SCMOE.impute", "target", "CD1", "adt"),
    ("SCMOE.get_normalized", "modality", "CD1", "adt"),
    ("SCMOE.get_latent_representation", "modality", "CD1", "adt"),
)
"""Call, argument, the name of a feature given for a modality, and its modality."""


def cases() -> Iterator[Case]:
    for name in available():
        yield from typos(name)
    for name, word, meant in MEANT:
        yield case(name, word, meant)
    for name, argument, feature, owner in FEATURES:
        yield Case(
            family=FAMILY,
            name=f"{name}({argument}={feature!r})",
            act=lambda world, name=name, change={argument: feature}: call(name, world, **change),
            words=(f"feature of {owner}", f"feature of '{owner}'", f"feature of mdata['{owner}']"),
        )


def typos(name: str) -> Iterator[Case]:
    """The last argument of a call without its last letter, as if mistyped."""
    parameters = inspect.signature(target(name)).parameters.values()
    known = [each.name for each in parameters if each.kind is each.KEYWORD_ONLY or each.default is not each.empty]
    if known and len(known[-1]) > 3:
        yield case(name, known[-1][:-1], known[-1])


def case(name: str, word: str, meant: str) -> Case:
    return Case(
        family=FAMILY,
        name=f"{name}({word}=...)",
        act=lambda world: call(name, world, **{word: 3}),
        words=(f"'{meant}'", f"{meant}=", f" {meant} ", f".{meant}", f"`{meant}`", f"{meant}.", f"{meant}("),
    )
