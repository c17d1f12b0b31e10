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


def to_json(value: object) -> object:
    """Convert a value to types of JSON: NaN becomes null, infinity and unknown types become their text.

    Example:
        >>> to_json({"a": (1, float("nan"), float("inf"), 1j)})
        {'a': [1, None, 'inf', '1j']}
    """
    if isinstance(value, Mapping):
        return {str(key): to_json(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [to_json(inner) for inner in value]
    if value is None or isinstance(value, str | bool | int):
        return value
    if hasattr(value, "tolist"):  # of numpy and torch
        return to_json(value.tolist())
    if not isinstance(value, float):
        return str(value)
    return str(value) if math.isinf(value) else nan_to_null(value)
