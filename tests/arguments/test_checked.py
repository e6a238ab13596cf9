"""The decorator, keywords that belong elsewhere, and that every public function looks at its arguments."""

import dataclasses
import importlib
import inspect
from collections.abc import Callable, Iterator
from typing import Any, get_args, get_origin

import numpy as np
import pytest

import scmoe
from scmoe.arguments._checked import checks_arguments
from scmoe.arguments._keywords import Place, check_keywords
from scmoe.arguments._ranges import RANGES

FOLDERS = "pp tl pl metrics datasets model explain tokens benchmark studies".split()
RESULTS = {"ClassificationScores", "Cells", "Masked", "Match", "Tokens"}
"""Public classes that users get and do not make."""


@checks_arguments
def verb(data: list[int], *, max_epochs: int = 3, seed: int = 0) -> int:
    """Stand in for a verb."""
    return max_epochs


def test_arguments_that_fit_are_passed_on() -> None:
    assert verb([1], max_epochs=5) == 5
    assert verb.__name__ == "verb"


@pytest.mark.parametrize(
    "value", [np.int64(5), np.uint8(5), np.array([5])[0]], ids=["int64", "uint8", "an entry of an array"]
)
def test_numbers_of_numpy_are_passed_on_as_those_of_python(value: Any) -> None:
    assert type(verb([1], max_epochs=value)) is int


@pytest.mark.parametrize(
    ("args", "kwargs", "text"),
    [
        (([1],), {"epochs": 3}, "has no argument 'epochs'. Did you mean 'max_epochs'?"),
        (([1],), {"max_epoch": 3}, "Did you mean 'max_epochs'?"),
        (([1],), {"random_state": 3}, "Did you mean 'seed'?"),
        (([1],), {"colour": 3}, "It has data, max_epochs, seed."),
        ((), {}, "missing a required argument: 'data'"),
        (([1], 3), {}, "too many positional arguments"),
    ],
)
def test_wrong_keywords_name_the_one_that_is_meant(args: Any, kwargs: Any, text: str) -> None:
    with pytest.raises(TypeError) as error:
        verb(*args, **kwargs)
    assert text in str(error.value)


def test_a_setting_of_another_place_is_said_to_be_there() -> None:
    places = [Place(["lr"], "plan_kwargs={{'{}': ...}}")]
    with pytest.raises(TypeError, match=r"train has no argument 'learning_rate'\. Pass plan_kwargs=\{'lr': \.\.\.\}\."):
        check_keywords("train", ["learning_rate"], ["seed"], places)


@pytest.mark.parametrize(
    ("kwargs", "text"),
    [
        ({"lr": 1e-3}, "Pass train_kwargs={'plan_kwargs': {'lr': ...}}."),
        ({"batch_size": 64}, "Pass train_kwargs={'batch_size': ...}."),
        ({"n_latent": 10}, "Did you mean 'n_hidden'?"),
        ({"epochs": 10}, "Did you mean 'max_epochs'?"),
        ({"train_kwargs": {"seed": 1}}, "Pass seed=... beside train_kwargs."),
        ({"train_kwargs": {"precision": "bf16-true"}}, "Did you mean 'bf16-mixed'?"),
        ({"train_kwargs": {"accelerator": "abacus"}}, "Lightning's Trainer cannot be made with accelerator='abacus'"),
        ({"train_kwargs": {"devices": 10_000}}, "asks for 10000 processes"),
    ],
)
def test_training_is_refused_before_it_begins(paired: Any, kwargs: dict[str, Any], text: str) -> None:
    before = dict(paired.uns)
    with pytest.raises((TypeError, ValueError)) as error:
        scmoe.tl.train(paired, **kwargs)
    assert text in str(error.value)
    assert dict(paired.uns) == before


@pytest.mark.parametrize("method", ["impute", "mixture_weight"])
def test_a_feature_in_place_of_a_modality_is_said_to_be_one(paired: Any, fit_model: Any, method: str) -> None:
    model = fit_model(paired)
    feature = model.feature_names["adt"][0]
    with pytest.raises(KeyError, match=f"'{feature}' is a feature of 'adt'"):
        getattr(model, method)("rna", feature)


def _public() -> Iterator[tuple[str, Any]]:
    for folder in FOLDERS:
        module = importlib.import_module(f"scmoe.{folder}")
        for name in module.__all__:
            item = getattr(module, name)
            if not inspect.isclass(item):
                yield f"{folder}.{name}", item
            elif name not in RESULTS:
                if dataclasses.is_dataclass(item):
                    yield f"{folder}.{name}", item
                for key in dir(item):
                    if key == "__init__" or not key.startswith("_"):
                        yield f"{folder}.{name}.{key}", inspect.getattr_static(item, key)


def _functions() -> Iterator[tuple[str, Callable[..., Any]]]:
    for name, item in _public():
        function = item.__func__ if isinstance(item, (classmethod, staticmethod)) else item
        if inspect.isfunction(function) and function.__module__.startswith("scmoe."):
            kinds = {each.kind for each in inspect.signature(function).parameters.values() if each.name != "self"}
            is_generated = name.endswith("__init__") and not hasattr(function, "__wrapped__")
            if kinds - {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD} and not is_generated:
                yield name, function


def test_every_public_function_checks_its_arguments() -> None:
    names = [name for name, function in _functions() if not function.__code__.co_filename.endswith("_checked.py")]
    assert names == []


def test_every_public_number_has_a_range() -> None:
    missing = set()
    for name, item in [*_functions(), *((n, i) for n, i in _public() if dataclasses.is_dataclass(i))]:
        for parameter in inspect.signature(item).parameters.values():
            hint = parameter.annotation
            if get_origin(hint) is dict:
                continue
            if {hint, *get_args(hint)} & {int, float} and parameter.name not in RANGES:
                missing.add((name, parameter.name))
    assert missing == set()
