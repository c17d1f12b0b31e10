"""Atomic writing of files: a reader sees the old content or the complete new content, never a part."""

import hashlib
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Literal, TextIO

from cxr_lightning.utils.regular_files import open_regular
from cxr_lightning.utils.write_errors import errors_name_file

_TEMPORARY_NAME = re.compile(r"\..+\.\d+-[0-9a-f]{8}\.tmp")
"""Names of the temporary files of :func:`atomic_path`."""


@contextmanager
def atomic_path(path: Path, *, sync: bool = True) -> Iterator[Path]:
    """A temporary path whose file replaces ``path`` when the block ends without an exception.

    It lies beside ``path``, has a name that no other process uses, and its file is removed on any exception. A killed
    process leaves the file behind; :func:`remove_temporary_files` removes it.

    Args:
        path: File to write; its folder exists.
        sync: Whether to wait until the content and the new name are on the disk. Without it, a power failure may leave
            a truncated file; the end of the process never does.

    Raises:
        OSError: If the file cannot be written; it names ``path``.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        with errors_name_file(path, temporary):
            yield temporary
            if sync:
                _sync(temporary, os.O_RDWR)  # Windows syncs only what is open for writing
            temporary.replace(path)
    except BaseException:
        with suppress(OSError):  # the error that led here is the one to report
            temporary.unlink(missing_ok=True)
        raise
    if sync:
        with suppress(OSError):  # folders cannot be synced on Windows, nor on all network disks
            _sync(path.parent, os.O_RDONLY)


@contextmanager
def atomic_write_text(
    path: Path, errors: Literal["strict", "replace", "backslashreplace"] = "strict"
) -> Iterator[TextIO]:
    """Open a temporary UTF-8 text file that replaces ``path`` as :func:`atomic_path` does; line ends stay unchanged.

    Args:
        path: File to write; its folder exists.
        errors: Treatment of characters that UTF-8 cannot encode, as in file names of another encoding.

    Raises:
        OSError: If the file cannot be written.
    """
    with (
        atomic_path(path) as temporary,
        temporary.open("x", newline="", encoding="utf-8", errors=errors) as file,
    ):
        yield file


@contextmanager
def atomic_write_bytes(path: Path, *, sync: bool = True) -> Iterator[BinaryIO]:
    """Open a temporary binary file that replaces ``path``, as :func:`atomic_path` does.

    Args:
        path: File to write; its folder exists.
        sync: See :func:`atomic_path`.

    Raises:
        OSError: If the file cannot be written.
    """
    with atomic_path(path, sync=sync) as temporary, temporary.open("xb") as file:
        yield file


def remove_temporary_files(folder: Path) -> None:
    """Remove the temporary files that killed processes have left in a folder; no process may be writing to it."""
    for path in folder.glob(".*.tmp"):
        if _TEMPORARY_NAME.fullmatch(path.name):
            path.unlink(missing_ok=True)


def file_sha256(path: Path) -> str:
    """The sha256 of a file's bytes."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
