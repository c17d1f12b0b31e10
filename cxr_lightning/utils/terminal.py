"""The one way of lines to the terminal: no control characters, whatever a name holds."""

import sys
from typing import TextIO

from cxr_lightning.utils.plain_text import visible


def say(text: object, *, file: TextIO | None = None) -> None:
    r"""Print one line.

    Args:
        text: What is printed; characters that do not show themselves become escapes.
        file: Where; standard output by default.

    Example:
        >>> say("[red]a\x1b[31mb")
        [red]a\x1b[31mb
    """
    print(visible(str(text)), file=file)


def say_error(text: object) -> None:
    """Print one line on standard error."""
    say(text, file=sys.stderr)
