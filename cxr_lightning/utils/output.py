"""Standard output and error that are gone: a closed terminal, a pipe whose reader has ended, a full disk."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Literal, TextIO

logger = logging.getLogger(__name__)

StreamName = Literal["stdout", "stderr"]


@contextmanager
def output_may_end(*names: StreamName) -> Iterator[None]:
    """Within the block, nothing is lost but the output where it can no longer be written: that is no error.

    Args:
        names: Streams of ``sys``.
    """
    before = {name: getattr(sys, name) for name in names}
    for name, stream in before.items():
        setattr(sys, name, _EndingStream(stream or _open_null(), name))
    try:
        yield
    finally:
        for name, stream in before.items():
            getattr(sys, name).flush()  # else the interpreter does, and reports the error
            setattr(sys, name, stream)


class _EndingStream:
    """A stream that drops what it is given from the first error on."""

    def __init__(self, stream: TextIO, name: str) -> None:
        self._stream, self._name = stream, name

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  # of the stream
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError as error:
            self._drop(error)
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError as error:
            self._drop(error)

    def _drop(self, error: OSError) -> None:
        """Have this and all later output go nowhere, also what the stream has not yet written."""
        with suppress(OSError), _open_null() as null:
            os.dup2(null.fileno(), self._stream.fileno())
        logger.warning("nothing more is written to %s: %s", self._name, error)


def _open_null() -> TextIO:
    return os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8")
