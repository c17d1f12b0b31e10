"""Python values for JSON, with null for an undefined number (NaN)."""

import math
from collections.abc import Mapping


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
