"""Regular files are opened and read; pipes, sockets, devices and files without an end are refused and never waited for.

A path is checked again once it is open, since it may have become something else in the meantime.
"""

import errno
import os
import stat
from io import BufferedReader, FileIO
from pathlib import Path

_MAX_UNSTATED_BYTES = 1 << 24
"""Maximum number of bytes that a file may have beyond the size that the system gives for it."""
_NOT_WAITING = sum(getattr(os, name, 0) for name in ("O_NONBLOCK", "O_CLOEXEC", "O_NOCTTY", "O_BINARY"))
"""Flags with which opening a pipe does not wait for its writer; those that the system has."""
_FLAGS = os.O_RDONLY | _NOT_WAITING
_OWN_FLAGS = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0) | _NOT_WAITING


class NotRegularFileError(OSError):
    """A path that is a pipe, a socket or a device; ``strerror`` is a clause."""


class FileTooLargeError(OSError):
    """A file with more bytes than its reader takes; ``strerror`` is a clause."""


def open_regular(path: str | Path) -> BufferedReader:
    """Open a regular file to read its bytes.

    Args:
        path: The user's path.

    Raises:
        NotRegularFileError: If it is a pipe, a socket or a device.
        OSError: If it is a folder, is not there, or may not be read.

    Example:
        >>> open_regular(os.devnull)
        Traceback (most recent call last):
        ...
        cxr_lightning.utils.regular_files.NotRegularFileError: [Errno 22] it is no regular file: '/dev/null'
    """
    _check_mode(os.stat(path).st_mode, path)  # noqa: PTH116  # some devices do something when they are opened
    descriptor = os.open(path, _FLAGS)
    try:
        _check_mode(os.fstat(descriptor).st_mode, path)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_limited(path: str | Path, max_bytes: int) -> bytes:
    """Read a whole regular file, whatever size the system gives for it.

    Args:
        path: The user's path.
        max_bytes: Maximum number of bytes.

    Raises:
        FileTooLargeError: If it has more.
        NotRegularFileError: If it is a pipe, a socket or a device.
        OSError: If it is a folder, is not there, or cannot be read.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > max_bytes:
            raise _too_large(path, f"it has {size:,} bytes, more than {max_bytes:,}")
        content = file.read(size)
        more = file.read(1)  # files of /proc state no size; asking for all that may be there takes its memory
        more += file.read(_MAX_UNSTATED_BYTES) if more else b""
    if len(more) > _MAX_UNSTATED_BYTES or len(content) + len(more) > max_bytes:
        raise _too_large(path, f"it has more than {min(max_bytes, size + _MAX_UNSTATED_BYTES):,} bytes")
    return content + more if more else content


def open_own(path: str | Path) -> FileIO:
    """Open a file of this program's to read it and to add to its end; it is made if it is absent.

    A link is refused: what somebody has put in the file's place would be written to.

    Args:
        path: The file.

    Raises:
        NotRegularFileError: If it is a link, a pipe, a socket or a device.
        OSError: If it is a folder, or cannot be opened.
    """
    if Path(path).is_symlink():
        raise NotRegularFileError(errno.ELOOP, "it is a link", str(path))
    descriptor = os.open(path, _OWN_FLAGS, 0o666)
    try:
        _check_mode(os.fstat(descriptor).st_mode, path)
        return FileIO(descriptor, "rb+")
    except BaseException:
        os.close(descriptor)
        raise


def check_file_size(path: str | Path, max_bytes: int) -> None:
    """Refuse what is no regular file, or has more bytes than its reader takes; raises as :func:`read_limited` does."""
    found = os.stat(path)  # noqa: PTH116
    _check_mode(found.st_mode, path)
    if found.st_size > max_bytes:
        raise _too_large(path, f"it has {found.st_size:,} bytes, more than {max_bytes:,}")


def _too_large(path: str | Path, reason: str) -> FileTooLargeError:
    return FileTooLargeError(errno.EFBIG, reason, str(path))


def _check_mode(mode: int, path: str | Path) -> None:
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(mode):
        raise NotRegularFileError(errno.EINVAL, "it is no regular file", str(path))
