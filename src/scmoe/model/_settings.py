"""Settings of a training: checked before anything is computed, and looked for wherever they may have been meant."""

import os
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, TypeVar

from scmoe.arguments._keywords import Place, check_keywords, parameters
from scmoe.nn._config import from_keywords
from scmoe.train._config import StepConfig
from scmoe.train._fit import isolated
from scmoe.train._trainer import SETTINGS, make_trainer

C = TypeVar("C", bound=StepConfig)


def fields_of(kind: Any) -> list[str]:
    """Names of the settings of a class."""
    return [field.name for field in fields(kind)]


def training_config(
    kind: type[C],
    plan_kwargs: Mapping[str, Any] | None,
    function: Callable[..., Any],
    network: Place,
    trainer_kwargs: Mapping[str, Any] | None = None,
    **trainer: Any,
) -> C:
    """Settings of a plan; an error that says where a keyword belongs which is none, or what the Trainer refuses.

    Parameters
    ----------
    kind
        Class of the settings.
    plan_kwargs
        Their values, by name.
    function
        The training that they are passed to.
    network
        Where settings of the network belong.
    trainer_kwargs
        What the training passes on to the Trainer; None: there is none.
    **trainer
        ``accelerator`` and its like, as they are passed to the Trainer.
    """
    own = parameters(function)
    config = from_keywords(kind, plan_kwargs or {}, Place(own, "{}=... beside plan_kwargs"), network)
    if trainer_kwargs is not None:
        elsewhere = Place(fields_of(kind), "plan_kwargs={{'{}': ...}}")
        check_keywords(
            function.__qualname__, trainer_kwargs, list(dict.fromkeys((*own, *SETTINGS))), (elsewhere, network)
        )
        # A Trainer adds to the list of callbacks.
        _try_trainer(**trainer, **{name: value for name, value in trainer_kwargs.items() if name != "callbacks"})
    return config


def _try_trainer(**settings: Any) -> None:
    """Raise for settings that a Trainer refuses on this machine."""
    with isolated():
        trainer = make_trainer(enable_checkpointing=False, **settings)
    if trainer.strategy.root_device.type == "cpu" and trainer.num_devices > (os.cpu_count() or 1):
        raise ValueError(
            f"devices={settings.get('devices')!r} asks for {trainer.num_devices} processes; this machine has "
            f"{os.cpu_count()} cores and no GPU. Lower it, or leave it out."
        )


def check_settings(
    verb: Callable[..., Any],
    model_kwargs: Mapping[str, Any],
    train_kwargs: Mapping[str, Any],
    model: Any,
    network: Any,
    plan: type[StepConfig],
) -> None:
    """Raise for keywords of a verb that sets up, makes and trains a model, if they belong elsewhere or nowhere.

    Parameters
    ----------
    verb
        Such as `scmoe.tl.train`.
    model_kwargs, train_kwargs
        What it passes on to the model and to its training.
    model, network, plan
        Classes of the model, of the settings of its network, and of its training.
    """
    own, training = parameters(verb), parameters(model.train)
    elsewhere = (
        Place(training, "train_kwargs={{'{}': ...}}"),
        Place(fields_of(plan), "train_kwargs={{'plan_kwargs': {{'{}': ...}}}}"),
    )
    name = f"scmoe.tl.{verb.__name__}"
    of_model = [each for each in parameters(model) if each not in ("adata", "registry")]
    check_keywords(name, model_kwargs, [*own, *fields_of(network), *of_model], elsewhere)
    settings = [each for each in dict.fromkeys((*training, *SETTINGS)) if each not in own]
    beside = Place(own, "{}=... beside train_kwargs")
    check_keywords(
        "train_kwargs", train_kwargs, settings, (beside, Place(fields_of(plan), "plan_kwargs={{'{}': ...}}"))
    )
