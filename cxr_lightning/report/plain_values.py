"""Values as JSON has them. An undefined number is null."""

import math
from collections.abc import Mapping

from cxr_lightning.metrics.resampling import Estimate


def plain(value: object) -> object:
    """A value as JSON has it; NaN becomes null, infinity and unknown types become their text.

    Example:
        >>> plain({"a": (1, float("nan"), float("inf"), 1j)})
        {'a': [1, None, 'inf', '1j']}
    """
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(inner) for inner in value]
    if value is None or isinstance(value, str | bool | int):
        return value
    if hasattr(value, "tolist"):  # of numpy and torch
        return plain(value.tolist())
    if not isinstance(value, float):
        return str(value)
    return str(value) if math.isinf(value) else plain_number(value)


def plain_number(value: float) -> float | None:
    """A number, or None where it is not defined."""
    return None if math.isnan(value) else float(value)


def plain_estimate(estimate: Estimate) -> dict[str, float | None]:
    """A number and the ends of its interval."""
    ends = {"value": estimate.value, "low": estimate.low, "high": estimate.high}
    return {name: plain_number(value) for name, value in ends.items()}
