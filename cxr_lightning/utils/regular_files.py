"""Regular files are opened and read; pipes, sockets, devices and files without an end are refused and never waited for.

A path is checked again once it is open, since it may have become something else in the meantime.
"""

import errno
import os
import stat
from io import BufferedReader
from pathlib import Path

_BLOCK_BYTES = 1 << 24
_FLAGS = os.O_RDONLY | sum(getattr(os, name, 0) for name in ("O_NONBLOCK", "O_CLOEXEC", "O_NOCTTY", "O_BINARY"))
"""Flags with which opening a pipe does not wait for its writer; those that the system has."""


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
        while block := file.read(min(_BLOCK_BYTES, max_bytes + 1 - len(content))):  # files of /proc state no size
            content += block
            if len(content) > max_bytes:
                raise _too_large(path, f"it has more than {max_bytes:,} bytes")
    return content


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
