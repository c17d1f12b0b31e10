"""An unexpected exception: one sentence for the user, and a file with the traceback for whoever mends it."""

import os
import sys
import tempfile
import traceback
from pathlib import Path

from cxr_lightning.utils.distributed import is_rank_zero
from cxr_lightning.utils.file_names import TRACEBACK_FILE
from cxr_lightning.utils.io import atomic_write_text
from cxr_lightning.utils.plain_text import visible
from cxr_lightning.utils.versions import versions

TRACEBACK_VARIABLE = "CXR_TRACEBACK"
"""Environment variable that shows tracebacks, if it is 1."""


def describe_unexpected(error: BaseException, folder: Path | None = None) -> str:
    """Describe an exception that nobody expected in one line, after its traceback is written to a file.

    Args:
        error: The exception.
        folder: The run's folder; None if there is none. A temporary folder takes its place if it cannot be written.
    """
    path = _write_traceback(error, folder)
    where = f"the traceback is in {path}" if path else f"{TRACEBACK_VARIABLE}=1 shows the traceback"
    text = message_of(error)
    return f"{type(error).__name__}{': ' if text else ''}{text} (unexpected; {where})"


def message_of(error: BaseException) -> str:
    """An exception's message on one line; that of a loader's process without the traceback in it.

    A system's error that nobody has described is told as what was expected.
    """
    text = str(error)
    if isinstance(error, OSError) and error.filename is not None and text.startswith("[Errno"):
        text = f"Expected to use '{error.filename}' but got: {error.strerror}. Check the path and its permissions."
    if "Original Traceback" in text:
        text = text.strip().splitlines()[-1].partition(": ")[2]
    # A path may hold several spaces; what else str.splitlines() takes for an end of a line is shown as it is.
    return visible(" ".join(filter(None, (line.strip(" \r\t") for line in text.split("\n")))))


def shows_tracebacks() -> bool:
    """Whether the environment asks for tracebacks."""
    return os.environ.get(TRACEBACK_VARIABLE) == "1"


def _write_traceback(error: BaseException, folder: Path | None) -> Path | None:
    """Write the traceback, the command line and the versions; returns the file, or None if none can be written."""
    software = " ".join(f"{name} {version}" for name, version in versions().items())
    lines = [" ".join(sys.argv), software, sys.platform, "", *traceback.format_exception(error)]
    name = TRACEBACK_FILE if is_rank_zero() else f"{os.getpid()}_{TRACEBACK_FILE}"
    for chosen in (folder, None) if folder else (None,):
        try:
            path = (chosen or Path(tempfile.mkdtemp(prefix="cxr_"))) / name
            with atomic_write_text(path, errors="backslashreplace") as file:
                file.write("".join(f"{visible(line)}\n" for text in lines for line in text.rstrip("\n").split("\n")))
        except OSError:  # a full or read-only disk
            continue
        return path
    return None
