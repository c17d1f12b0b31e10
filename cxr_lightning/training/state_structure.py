"""Compare a saved state with one of the same kind that was never changed."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from cxr_lightning.utils.plain_text import shorten

MAX_COUNT = 2**53
"""Whole numbers beyond it are counts of nothing, and no exact numbers as floats."""
_MAX_FLOAT = 1e12
"""Times in seconds and settings are below it; beyond 10 ** 14 seconds, Python has no durations."""


class StateError(ValueError):
    """Reason why a saved state is refused, as a clause."""


class RestoredStateError(ValueError):
    """A checkpoint whose training cannot be restored."""


def check_structure(saved: object, fresh: object, place: str, *, require_all_keys: bool = False) -> None:
    """Refuse a saved state of another structure than a fresh one.

    Keys that only the saved state has are left to those who restore it.

    Args:
        saved: The saved state.
        fresh: The state of the same kind before it was ever changed; None and empty ones may become anything.
        place: Dotted place of the state.
        require_all_keys: Whether it must have all keys of the fresh state; those of other versions may lack some.

    Raises:
        StateError: If it has.

    Example:
        >>> check_structure({"best": 0.5, "seen": [1, 2]}, {"best": float("inf"), "seen": []}, "x")
        >>> check_structure({"best": "0.5"}, {"best": float("inf")}, "x")
        Traceback (most recent call last):
        ...
        cxr_lightning.training.state_structure.StateError: its `x.best` is '0.5', not a number
    """
    for value, expected, where in _pairs(saved, fresh, place):
        if expected is None or (value is None and isinstance(expected, str)):
            continue
        if kind_of(value) != kind_of(expected):
            raise StateError(f"its `{where}` is {shown(value)}, not {kind_of(expected)}")
        if isinstance(expected, Mapping) and require_all_keys and (missing := [*_without(expected, value)]):
            raise StateError(f"its `{where}` has no {missing[0]!r}")
        if isinstance(expected, list | tuple) and expected and len(value) != len(expected):
            raise StateError(f"its `{where}` has {len(value)} values, not {len(expected)}")
        _check_number(value, expected, where)


def _pairs(saved: Any, fresh: Any, place: str) -> Iterator[tuple[Any, Any, str]]:  # noqa: ANN401  # of any state
    """Every value that both states have, with the fresh one and its place; a whole before its parts."""
    yield saved, fresh, place
    if isinstance(fresh, Mapping) and isinstance(saved, Mapping):
        keys: Sequence[Any] = [key for key in fresh if key in saved]
    elif isinstance(fresh, list | tuple) and kind_of(saved) == "a list":
        keys = range(min(len(fresh), len(saved)))
    else:
        return
    for key in keys:
        yield from _pairs(saved[key], fresh[key], f"{place}.{key}")


def leaf_pairs(saved: Any, fresh: Any, place: str) -> Iterator[tuple[Any, Any, str]]:  # noqa: ANN401  # of any state
    """The single values that two states of the same structure have, with the fresh one and its place.

    Args:
        saved: The saved state, which :func:`check_structure` has not refused.
        fresh: The state of the same kind before it was ever changed.
        place: Dotted place of the state.
    """
    return (pair for pair in _pairs(saved, fresh, place) if not isinstance(pair[1], Mapping | list | tuple))


def _without(expected: Mapping[Any, Any], value: Mapping[Any, Any]) -> Iterator[object]:
    return (key for key in expected if key not in value)


def _check_number(value: Any, expected: Any, place: str) -> None:  # noqa: ANN401  # of any state
    """Refuse huge numbers, and what is no number where a finite one was."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > MAX_COUNT:
        raise StateError(f"its `{place}` is {shown(value)}, not a number of this size")
    if isinstance(expected, float) and math.isfinite(expected) and not abs(value) <= _MAX_FLOAT:
        raise StateError(f"its `{place}` is {shown(value)}, not a number of this size")


def kind_of(value: object) -> str:
    """What a value is, in words; a tensor of one value counts as a number."""
    if isinstance(value, Tensor):
        is_number = value.ndim == 0 and not value.is_complex() and value.dtype != torch.bool
        return "a number" if is_number else "a tensor"
    for kind, name in ((bool, "true or false"), (int | float, "a number"), (str, "text"), (Mapping, "a mapping")):
        if isinstance(value, kind):
            return name
    return "a list" if isinstance(value, Sequence) else type(value).__name__


def shown(value: object) -> str:
    """A plain value as Python writes it, shortened; what any other is, in words."""
    return shorten(repr(value)) if isinstance(value, str | int | float | bool | None) else kind_of(value)
