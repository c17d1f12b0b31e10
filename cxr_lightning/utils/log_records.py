"""Log messages and warnings of a program: one line each, without control characters."""

import logging
import traceback
import warnings
from typing import Any

from cxr_lightning.utils.plain_text import visible


class OneLineRecord(logging.LogRecord):
    """A log record whose text is one line without control characters, for all handlers and formatters.

    The traceback of its exception is part of that line.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401  # of the standard library
        super().__init__(*args, **kwargs)
        details = [self.stack_info] if self.stack_info else []
        if self.exc_info and self.exc_info[0] is not None:
            details.insert(0, "".join(traceback.format_exception(*self.exc_info)).rstrip("\n"))
        self._details = details
        self.exc_info = self.stack_info = None  # formatters would add them as further lines

    def getMessage(self) -> str:  # noqa: N802  # the standard library's name
        """The message, and what belongs to it."""
        return visible(" ".join([super().getMessage().strip("\n"), *self._details]))


def keep_logs_plain() -> None:
    """From now on have log records and warnings of this process be one line each; for programs, not for libraries."""
    logging.setLogRecordFactory(OneLineRecord)
    warnings.formatwarning = _format_warning  # libraries set their own when they are imported
    # torch does so at the end of its import, which a signal may interrupt.
    logging.getLogger("torch").setLevel(logging.WARNING)


def are_logs_plain() -> bool:
    """Whether :func:`keep_logs_plain` was called."""
    return logging.getLogRecordFactory() is OneLineRecord


def _format_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
) -> str:
    return visible(f"{filename}:{lineno}: {category.__name__}: {message}") + "\n"
