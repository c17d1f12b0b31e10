"""Log messages on the console beside a progress bar."""

import logging
import sys
from typing import TextIO

SHOWN_IN_BAR = "shown_in_bar"
"""Attribute of a log record whose numbers a progress bar shows; such a record is left out on the console."""


class ConsoleHandler(logging.StreamHandler[TextIO]):
    """Write log messages to the console, above a progress bar that is drawn there.

    Args:
        stream: Standard output or standard error.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._name_in_sys = "stderr" if stream is sys.stderr else "stdout"

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, unless a bar shows its numbers."""
        if not getattr(record, SHOWN_IN_BAR, False):
            self.stream = getattr(sys, self._name_in_sys)  # while rich draws a bar, its own in place of the first one
            super().emit(record)
