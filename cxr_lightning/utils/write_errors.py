"""Files that cannot be written: a read-only place, no permission, a full disk; and the setting that moves them."""

import errno
import os
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

_FULL = (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC))
_CLOSED = (errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST)
"""Errors of writing; all but the first may be of reading too."""
_MAKING = ("mkdir", "makedirs")
"""Python's functions that make folders."""
FREE_DISK_SPACE = "Free disk space."
_NO_TEMPORARY_FOLDER = "No usable temporary directory"
"""Start of Python's message about it."""
_MAX_CAUSES = 10


@contextmanager
def errors_name_file(path: Path, temporary: Path | None = None) -> Iterator[None]:
    """Within the block, a system's error without a file's name, as writing gives, gets that of this file.

    Args:
        path: The file that is written.
        temporary: The file that takes its place until it is complete.
    """
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename in (None, str(temporary)):
            error.filename = str(path)
        raise


def is_disk_full(error: OSError) -> bool:
    """Whether there is no room for a file: on the disk, in the user's share of it, or by a limit of the process."""
    return error.errno in _FULL


def explain_write_error(error: OSError, places: Mapping[str, str]) -> OSError:
    """Convert the error of a file that cannot be written into one with a remedy; return any other error unchanged.

    Args:
        error: The system's error, or one that was raised from it with a message for people.
        places: Sentences that say what moves what is in a folder, by the folder; the first one is used where the
            system does not name the file. Elsewhere, only what is certainly of writing is converted.
    """
    if str(error.strerror).startswith(_NO_TEMPORARY_FOLDER):
        return OSError(f"Expected a folder for temporary files but got: {error.strerror}. Set TMPDIR to one.")
    cause = next((one for one in causes_of(error) if isinstance(one, OSError) and _is_of_writing(one)), None)
    if cause is None:
        return error
    moved_by = _sentence_about(cause, places)
    remedies = [FREE_DISK_SPACE] if is_disk_full(cause) else []
    if moved_by is not None or cause.errno == errno.EROFS:
        remedies.append(moved_by or "Choose another place.")
    text = str(error) if error.errno is None else _message(cause)
    missing = [remedy for remedy in remedies if remedy.split()[0] not in text]
    return OSError(" ".join([text, *missing])) if missing else error


def _is_of_writing(error: OSError) -> bool:
    """Whether an error may be of writing: that nothing is there is so of a folder that is made, as in ``/proc``."""
    if error.errno == errno.ENOENT:
        frames = list(traceback.walk_tb(error.__traceback__))
        return bool(frames) and frames[-1][0].f_code.co_name in _MAKING
    return error.errno in (*_FULL, *_CLOSED)


def causes_of(error: BaseException) -> Iterator[BaseException]:
    """The exception and those that it was raised from or during, the newest first."""
    following: BaseException | None = error
    for _ in range(_MAX_CAUSES):
        if following is not None:
            yield following
            following = following.__cause__ or following.__context__


def _sentence_about(error: OSError, places: Mapping[str, str]) -> str | None:
    """What moves the file that the longest of the folders holds; None if none does."""
    path = _file(error)
    if path is None:
        return next(iter(places.values()), None) if is_disk_full(error) else None
    found = [folder for folder in places if path.is_relative_to(Path(folder).absolute())]
    return places[max(found, key=len)] if found else None


def _message(error: OSError) -> str:
    return f"Expected to write {_quoted(_file(error))} but got: {error.strerror}."


def _quoted(path: Path | None) -> str:
    return "a file" if path is None else f"'{path}'"


def _file(error: OSError) -> Path | None:
    """The file that the system names; some calls have a number in its place."""
    return Path(os.fsdecode(error.filename)).absolute() if isinstance(error.filename, str | bytes) else None
