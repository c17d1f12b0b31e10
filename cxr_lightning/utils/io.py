"""Atomic writing of files: a reader sees the old content or the complete new content, never a part."""

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import IO, Any, BinaryIO, Literal, TextIO, TypeVar

_File = TypeVar("_File", bound=IO[Any])


def atomic_write_text(
    path: Path, errors: Literal["strict", "replace", "backslashreplace"] = "strict"
) -> AbstractContextManager[TextIO]:
    """Open a temporary UTF-8 text file that replaces ``path`` when the block ends without an exception.

    The temporary file lies beside ``path``, has a name that no other process uses, and is removed on any exception. A
    killed process leaves it behind: its name starts with a dot and ends in ``.tmp``. The content and the new name are
    on the disk when the block has ended. Line ends are written unchanged.

    Args:
        path: File to write; its folder exists.
        errors: Treatment of characters that UTF-8 cannot encode, as in file names of another encoding.

    Raises:
        OSError: If the file cannot be written.
    """
    return _atomic_write(
        path, lambda temporary: temporary.open("x", newline="", encoding="utf-8", errors=errors), sync=True
    )


def atomic_write_bytes(path: Path, *, sync: bool = True) -> AbstractContextManager[BinaryIO]:
    """Open a temporary binary file that replaces ``path``, as :func:`atomic_write_text` does.

    Args:
        path: File to write; its folder exists.
        sync: Whether to wait until the file is on the disk. Without it, a power failure may leave a truncated file;
            the end of the process never does.

    Raises:
        OSError: If the file cannot be written.
    """
    return _atomic_write(path, lambda temporary: temporary.open("xb"), sync=sync)


@contextmanager
def _atomic_write(path: Path, open_file: Callable[[Path], _File], *, sync: bool) -> Iterator[_File]:
    """Write to a temporary file in the same folder, then rename it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        file = open_file(temporary)
        with file:
            yield file
            file.flush()
            if sync:
                os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):  # the error that led here is the one to report
            temporary.unlink(missing_ok=True)
        raise
    if sync:
        _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Wait until a rename is on the disk, where folders can be synced (not on Windows nor on all network disks)."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
