"""Options of commands that are texts of several values: lists, numbers and pairs."""

from collections.abc import Sequence


def names(text: str) -> list[str]:
    """Names separated by commas."""
    return [name.strip() for name in text.split(",") if name.strip()]


def numbers(text: str, option: str = "--seeds") -> list[int]:
    """Whole numbers separated by commas."""
    try:
        return [int(name) for name in names(text)]
    except ValueError:
        raise ValueError(f"{option} must be whole numbers separated by commas; found {text!r}.") from None


def pairs(options: Sequence[str] | None, option: str, example: str) -> dict[str, str]:
    """Options of the form name=value."""
    for text in options or []:
        if "=" not in text:
            raise ValueError(f"{option} must look like {example}; found {text!r}.")
    return dict(text.split("=", 1) for text in options or [])
