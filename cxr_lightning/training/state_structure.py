"""Compare a saved state with one of the same kind that was never changed."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from cxr_lightning.utils.plain_text import shorten

_UNDEFINED_AT_FIRST = ".kth_value"
"""Ending of the place of the only number that may be undefined, the score of the worst of the best checkpoints."""
_MAX_COUNT = 2**53


def structure_problem(saved: object, fresh: object, place: str, *, whole: bool = False) -> str | None:
    """Describe where a saved state has another structure than a fresh one, as a clause; None if it has the same.

    Keys that only the saved state has are left to those who restore it.

    Args:
        saved: The saved state.
        fresh: The state of the same kind before it was ever changed; None and empty ones may become anything.
        place: Dotted place of the state.
        whole: Whether it must have all keys of the fresh state; those of other versions may lack some.

    Example:
        >>> structure_problem({"best": 0.5, "seen": [1, 2]}, {"best": float("inf"), "seen": []}, "x")
        >>> structure_problem({"best": "0.5"}, {"best": float("inf")}, "x")
        "its `x.best` is '0.5', not a number"
    """
    if fresh is None or (saved is None and (isinstance(fresh, str) or place.endswith(_UNDEFINED_AT_FIRST))):
        return None
    expected, found = kind_of(fresh), kind_of(saved)
    if expected != found:
        return f"its `{place}` is {shown(saved)}, not {expected}"
    if isinstance(saved, int) and not isinstance(saved, bool) and abs(saved) > _MAX_COUNT:
        return f"its `{place}` is {shown(saved)}, not a number of this size"
    if isinstance(fresh, Mapping) and isinstance(saved, Mapping):
        if whole and (missing := [key for key in fresh if key not in saved]):
            return f"its `{place}` has no {missing[0]!r}"
        pairs = [(saved[key], fresh[key], f"{place}.{key}") for key in fresh if key in saved]
    elif isinstance(fresh, list | tuple) and fresh and isinstance(saved, Sequence):
        if len(saved) != len(fresh):
            return f"its `{place}` has {len(saved)} values, not {len(fresh)}"
        pairs = [(saved[index], fresh[index], f"{place}.{index}") for index in range(len(fresh))]
    else:
        return None
    return next(filter(None, (structure_problem(*pair, whole=whole) for pair in pairs)), None)


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
