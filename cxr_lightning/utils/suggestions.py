"""The known name that is nearest to an unknown one."""

import re
from collections.abc import Collection
from difflib import get_close_matches

_MAX_LETTERS, _MAX_KNOWN = 200, 10_000
"""Beyond these bounds nothing is suggested: to compare texts takes the time of the product of their lengths."""
_SUGGESTIONS = re.compile(r"Did you mean ([^?]*)\?")


def did_you_mean(name: str, known: Collection[str], prefix: str = "") -> str:
    """A sentence with the known name that is nearest to another one; empty if none is near.

    Args:
        name: The unknown name.
        known: The known names.
        prefix: Text that the known name is shown with, such as the key of the node that it is in.

    Example:
        >>> did_you_mean("modle", ["data", "model"])
        "Did you mean 'model'?"
        >>> did_you_mean("x", ["data", "model"])
        ''
    """
    if len(name) > _MAX_LETTERS or len(known) > _MAX_KNOWN:
        return ""
    folded = {candidate.lower(): candidate for candidate in known if len(candidate) <= _MAX_LETTERS}
    close = get_close_matches(name.lower(), list(folded), n=1)
    return f"Did you mean '{prefix}{folded[close[0]]}'?" if close else ""


def suggested_names(message: str) -> list[str]:
    """The names that a message suggests in the words of :func:`did_you_mean`.

    Example:
        >>> suggested_names("Expected a known key but got 'sed'. Did you mean 'seed'?")
        ['seed']
    """
    return [name for names in _SUGGESTIONS.findall(message) for name in re.findall("'([^']*)'", names)]
