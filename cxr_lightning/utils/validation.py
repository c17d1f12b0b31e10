"""Settings that are one of a few words."""

from typing import Any, get_args


def check_choice(setting: str, value: str, choices: Any) -> Any:  # noqa: ANN401  # a Literal, and one of its words
    """The value, if it is one of the choices.

    Args:
        setting: Its name, for the message.
        value: As given.
        choices: A ``Literal`` of words.

    Raises:
        ValueError: If it is not.

    Example:
        >>> from typing import Literal
        >>> check_choice("data.on_missing", "skip", Literal["error", "skip"])
        'skip'
    """
    words = get_args(choices)
    if value not in words:
        raise ValueError(f"Expected `{setting}` to be one of {list(words)} but got {value!r}.")
    return value
