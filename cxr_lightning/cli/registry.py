"""Verbs of other packages: functions that a trusted package registers when it is imported."""

from collections.abc import Callable
from typing import TypeVar

VerbFunction = TypeVar("VerbFunction", bound=Callable[..., int | None])

_registered: dict[str, Callable[..., int | None]] = {}


def register_verb(function: VerbFunction) -> VerbFunction:
    """Add a verb to the ``cxr`` command, and return its function.

    Args:
        function: A function whose name, typed parameters and docstring make the verb, as in ``cli/verbs/``; it returns
            the exit code, or None for 0.

    Raises:
        ValueError: If another function has its name.
    """
    name = function.__name__
    known = _registered.get(name, function)
    if (known.__module__, known.__qualname__) != (function.__module__, function.__qualname__):
        raise ValueError(f"Expected verbs with different names but two have the name '{name}'. Rename one.")
    _registered[name] = function  # also in place of itself, where a package is imported again
    return function


def registered_verbs() -> tuple[Callable[..., int | None], ...]:
    """The registered verbs, in their order."""
    return tuple(_registered.values())
