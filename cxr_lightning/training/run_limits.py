"""The limits that end a training: whether a run is to train for longer than it was."""

import math
import re
from collections.abc import Mapping
from typing import Any

_LIMITS = re.compile(
    r"(?P<count>trainer\.max_(epochs|steps)|callbacks\.\w+\.patience)"
    r"|(?P<time>trainer\.max_time|callbacks\.\w+\.duration)(\.(?P<unit>weeks|days|hours|minutes|seconds))?"
)
"""Settings of length that end a training; a time may have a key for each of its units."""
_SECONDS = {"weeks": 604800, "days": 86400, "hours": 3600, "minutes": 60, "seconds": 1}


def is_longer(recorded: Mapping[str, Any], current: Mapping[str, Any]) -> bool:
    """Whether a run is to train for longer than it was: a limit is higher or gone, and none is lower.

    Args:
        recorded: The settings of its length.
        current: Those that are given now.

    Example:
        >>> is_longer({"trainer.max_epochs": 2}, {"trainer.max_epochs": 3})
        True
        >>> is_longer({"trainer.max_time": "00:02:00:00"}, {"trainer.max_time.minutes": 90})
        False
    """
    there, here = _limits(recorded), _limits(current)
    pairs = [(there.get(key, math.inf), here.get(key, math.inf)) for key in {*there, *here}]
    return any(now > before for before, now in pairs) and all(now >= before for before, now in pairs)


def _limits(length: Mapping[str, Any]) -> dict[str, float]:
    """The limits among settings of length, by key; of times in seconds."""
    limits: dict[str, float] = {}
    for key, value in length.items():
        if value is None or not (found := _LIMITS.fullmatch(key)):
            continue
        if found["count"]:
            limits[key] = math.inf if number_in(value) == -1 else number_in(value) or 0.0
        else:
            units = (found["unit"],) if found["unit"] else ("days", "hours", "minutes", "seconds")
            parts = zip(str(value).split(":"), units, strict=False)
            seconds = sum((number_in(part) or 0.0) * _SECONDS[unit] for part, unit in parts)
            limits[found["time"]] = limits.get(found["time"], 0.0) + seconds
    return limits


def number_in(value: object) -> float | None:
    """The number that a setting is, also one that is written as text; None for any other value."""
    if isinstance(value, str):
        for kind in (int, float):
            try:
                return kind(value)
            except ValueError:
                continue
        return None
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None
