"""Log messages on the console beside a progress bar."""

import logging
import sys
from typing import TextIO, cast

from rich.file_proxy import FileProxy

SHOWN_IN_BAR = "shown_in_bar"
"""Attribute of a log record whose numbers a progress bar shows; such a record is left out on the console."""


class ConsoleHandler(logging.StreamHandler[TextIO]):
    """Write log messages to the console, above a progress bar that is drawn there.

    Args:
        stream: Standard output or standard error; None for the latter.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        super().__init__(stream)
        self._console = self.stream

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, unless a bar shows its numbers."""
        if not getattr(record, SHOWN_IN_BAR, False):
            self.stream = _above_bar(self._console)
            super().emit(record)


def _above_bar(stream: TextIO) -> TextIO:
    """The stream that rich has put in a stream's place while it draws a bar; without a bar the stream itself."""
    for current in (sys.stdout, sys.stderr):
        if isinstance(current, FileProxy) and current.rich_proxied_file is stream:
            return cast(TextIO, current)  # with the methods of the one in whose place it is
    return stream
