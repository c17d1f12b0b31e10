"""Checks of settings: of one that has a fixed set of values, and of a number."""

from typing import Any, get_args


def check_choice(setting: str, value: str, choices: Any) -> Any:  # noqa: ANN401  # a Literal, and one of its values
    """Check that a value is one of the choices, and return it.

    Args:
        setting: Name of the setting, for the message.
        value: Value of the setting.
        choices: A ``Literal`` of texts.

    Raises:
        ValueError: If it is none of them.

    Example:
        >>> from typing import Literal
        >>> check_choice("data.on_missing", "skip", Literal["error", "skip"])
        'skip'
    """
    allowed = get_args(choices)
    if value not in allowed:
        raise ValueError(f"Expected `{setting}` to be one of {list(allowed)} but got {value!r}.")
    return value


def check_positive(setting: str, number: int, *, maximum: int) -> int:
    """Check that a number is in [1, ``maximum``], and return it.

    Args:
        setting: Name of the setting, for the message.
        number: Value of the setting.
        maximum: The largest value that makes sense.

    Raises:
        ValueError: If it is another number, or something else.

    Example:
        >>> check_positive("batch_size", 4, maximum=8)
        4
    """
    if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= maximum:
        raise ValueError(
            f"Expected `{setting}` to be a whole number from 1 to {maximum:,} but got {number!r}. Leave it out for the "
            "default."
        )
    return number
