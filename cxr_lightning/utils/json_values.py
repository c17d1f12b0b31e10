"""Python values for JSON, with null for an undefined number (NaN), and JSON that other people may have written."""

import json
import math
from collections.abc import Mapping
from typing import NoReturn

_MAX_DEPTH = 100
"""Maximum number of lists and objects within each other."""


def nan_to_null(value: float) -> float | None:
    """A number, or None where it is undefined.

    Example:
        >>> nan_to_null(0.5), nan_to_null(float("nan"))
        (0.5, None)
    """
    return None if math.isnan(value) else float(value)


def null_to_nan(value: float | None) -> float:
    """The inverse of :func:`nan_to_null`."""
    return math.nan if value is None else float(value)


def parse_json(text: str | bytes) -> object:
    """Parse JSON; everything that is wrong with it is one kind of error.

    Args:
        text: JSON, of a length that the caller has limited.

    Raises:
        ValueError: If it is no JSON of RFC 8259, names a key twice, or nests lists and objects too deeply.

    Example:
        >>> parse_json('{"a": [1, null]}')
        {'a': [1, None]}
        >>> parse_json("[" * 100_000)
        Traceback (most recent call last):
        ValueError: it nests lists and objects deeper than 100
    """
    try:
        value: object = json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_object)
    except RecursionError:
        raise ValueError(f"it nests lists and objects deeper than {_MAX_DEPTH}") from None
    if len(text) > _MAX_DEPTH and _depth(value) > _MAX_DEPTH:
        raise ValueError(f"it nests lists and objects deeper than {_MAX_DEPTH}")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"it holds {name}, which is no number of JSON")


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    values = dict(pairs)
    if len(values) < len(pairs):
        raise ValueError("it names a key twice")
    return values


def _depth(value: object) -> int:
    """Number of lists and objects within each other."""
    depth, level = 0, [value]
    while level := [inner for outer in level if isinstance(outer, dict | list) for inner in _within(outer)]:
        depth += 1
    return depth


def _within(value: dict[str, object] | list[object]) -> list[object]:
    return list(value.values()) if isinstance(value, dict) else value


def to_json(value: object, *, infinity_as_text: bool = True) -> object:
    """Convert a value to types of JSON: NaN becomes null, unknown types become their text.

    Args:
        value: The value, also within mappings and sequences.
        infinity_as_text: Whether infinity becomes its text; otherwise it becomes null.

    Example:
        >>> to_json({"a": (1, float("nan"), float("inf"), 1j)})
        {'a': [1, None, 'inf', '1j']}
        >>> to_json([float("inf")], infinity_as_text=False)
        [None]
    """
    if isinstance(value, Mapping):
        return {str(key): to_json(inner, infinity_as_text=infinity_as_text) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [to_json(inner, infinity_as_text=infinity_as_text) for inner in value]
    if value is None or isinstance(value, str | bool | int):
        return value
    if hasattr(value, "tolist"):  # of numpy and torch
        return to_json(value.tolist(), infinity_as_text=infinity_as_text)
    if not isinstance(value, float):
        return str(value)
    if math.isinf(value):
        return str(value) if infinity_as_text else None
    return nan_to_null(value)
