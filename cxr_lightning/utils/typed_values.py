"""What the typed values of files have in common: their base, the kinds of numbers, and their errors as one line."""

import math
import reprlib
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

_MAX_ERRORS = 5
"""Maximum number of errors in a message."""
_MAX_KEY_LENGTH = _MAX_VALUE_LENGTH = 100


def _null_if_undefined(value: object) -> object:
    return None if isinstance(value, float) and math.isnan(value) else value


NULL_IF_UNDEFINED = BeforeValidator(_null_if_undefined)
"""Turns NaN, an undefined number, into null. Bounds stand inside it, at the number: null has none."""
Number = Annotated[Annotated[float, Field(allow_inf_nan=False)] | None, NULL_IF_UNDEFINED]
"""A finite number, or null."""
Fraction = Annotated[Annotated[float, Field(ge=0, le=1)] | None, NULL_IF_UNDEFINED]
"""A number in [0, 1], such as a probability, a rate or an AUROC, or null."""
SignedFraction = Annotated[Annotated[float, Field(ge=-1, le=1)] | None, NULL_IF_UNDEFINED]
"""A number in [-1, 1], a difference of two fractions or a correlation, or null."""
Count = Annotated[int, Field(ge=0, le=2**53)]
"""A whole number of at least 0, such as a number of images; those beyond 2**53 are none that floats hold."""


class TypedValues(BaseModel):
    """An object whose keys have a type, a meaning and bounds; a value of another type is not converted."""

    model_config = ConfigDict(frozen=True, strict=True)


def describe_errors(error: ValidationError) -> str:
    """The wrong keys, each with its value and what was expected, for a message of one line; at most five.

    Example:
        >>> class Split(TypedValues):
        ...     images: Count
        ...     patients: Count
        >>> try:
        ...     Split.model_validate({"images": -1})
        ... except ValidationError as error:
        ...     describe_errors(error)
        '`images` is -1 (input should be greater than or equal to 0), `patients` is missing'
    """
    found = error.errors(include_url=False)
    parts = []
    for one in found[:_MAX_ERRORS]:
        place = f"`{'.'.join(map(str, one['loc']))[:_MAX_KEY_LENGTH]}`" if one["loc"] else "it"
        expected = one["msg"].removeprefix("Value error, ")
        if not one["loc"] and one["type"] == "value_error":  # of the whole object, whose value would not help
            parts.append(expected)
            continue
        value = f"{reprlib.repr(one['input'])[:_MAX_VALUE_LENGTH]} ({expected[:1].lower()}{expected[1:]})"
        parts.append(f"{place} is {'missing' if one['type'] == 'missing' else value}")
    more = [f"and {len(found) - _MAX_ERRORS} more"] if len(found) > _MAX_ERRORS else []
    return " ".join(", ".join([*parts, *more]).split())
