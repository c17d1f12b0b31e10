"""Locks of a folder that a run writes to: another run is refused. The system releases them, however a process ends."""

import errno
import logging
import os
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

RUN_LOCK_FILE = "lock"
"""Lock of a run's only process, or of rank 0."""
_PROBE_SECONDS = 0.5
"""Maximum time for which a look of another process at a lock is waited for."""
_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP)
logger = logging.getLogger(__name__)


class RunLock:
    """Lock that one process of a run holds while it writes.

    Args:
        folder: Folder of the locks, within the one that is written to.
        name: Name of the lock; those of other processes begin in the same way.
    """

    def __init__(self, folder: Path, name: str = RUN_LOCK_FILE) -> None:
        self._folder, self._path = folder, folder / name
        self._lock = FileLock(self._path, thread_local=False)

    def acquire(self) -> None:
        """Acquire the lock; where files cannot be locked, warn of that.

        Raises:
            OSError: If another run holds it, or the folder cannot be created.
        """
        self._folder.mkdir(exist_ok=True)
        if problem := _acquire(self._lock, self._folder):
            logger.warning("'%s' cannot be locked (%s): do not start another run in it", self._folder.parent, problem)

    def release(self) -> None:
        """Release the lock and remove its file, and the folder if it is empty."""
        if self._lock.is_locked:
            with suppress(OSError):  # some systems remove no open file
                self._path.unlink()
            self._lock.release()
        with suppress(OSError):
            self._folder.rmdir()


def refuse_locked(folder: Path) -> None:
    """Refuse a folder of which any process of a run holds a lock; nothing in it is changed.

    Args:
        folder: Folder of the locks.

    Raises:
        OSError: If one is held.
    """
    if not os.path.isdir(folder):  # noqa: PTH112  # a Path raises an error where a name is too long
        return
    for path in folder.glob(f"{RUN_LOCK_FILE}*"):
        lock = FileLock(path, thread_local=False)
        _acquire(lock, folder)
        lock.release()


def _acquire(lock: FileLock, folder: Path) -> Exception | None:
    """Acquire a lock; returns the error where files cannot be locked."""
    try:
        lock.acquire(timeout=_PROBE_SECONDS)
    except Timeout as error:
        raise OSError(
            f"Expected one run at a time in '{folder.parent}' but another run writes to it. Wait until it has ended, "
            "or give another --out."
        ) from error
    except NotImplementedError as error:
        return error
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        return error
    return None
