"""The folder that a run writes to: a new one, or that of the run that it continues."""

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from cxr_lightning.utils.file_names import CHECKPOINT_FOLDER, LAST_CHECKPOINT, PREVIOUS_CHECKPOINT, SUMMARY_FILE
from cxr_lightning.utils.io import atomic_write_text, remove_temporary_files

_DIGEST_FILE = ".configuration"
_LOCK_FILE = ".lock"
_KEYS_OUTSIDE_DIGEST = ("resume", "ckpt_path", "hydra")
"""Configuration keys that do not determine what is trained, and are no part of the digest."""

logger = logging.getLogger(__name__)


def choose_run_folder(ckpt_path: object, resume: object, new_folder: str, digest: str) -> str:
    """Choose the folder of this run.

    Args:
        ckpt_path: Checkpoint to continue from; its run's folder is chosen if it is in one.
        resume: ``auto`` chooses the folder of the newest unfinished run of the same configuration, if there is one.
        new_folder: The folder to use otherwise.
        digest: From :func:`configuration_digest`.
    """
    if (
        isinstance(ckpt_path, str)
        and Path(ckpt_path).parent.name == CHECKPOINT_FOLDER
        and has_checkpoint(Path(ckpt_path))
    ):
        return str(Path(ckpt_path).absolute().parent.parent)
    if resume == "auto" and ckpt_path is None:
        found = find_unfinished(Path(new_folder).parent, digest)
        return new_folder if found is None else str(found)
    return new_folder


def last_checkpoint(folder: Path) -> Path | None:
    """Path of a run's last checkpoint; None if neither that nor the previous checkpoint exists."""
    last = folder / CHECKPOINT_FOLDER / LAST_CHECKPOINT
    return last if has_checkpoint(last) else None


def has_checkpoint(ckpt_path: Path) -> bool:
    """Whether a checkpoint exists, or the previous one in its place."""
    previous = ckpt_path.with_name(PREVIOUS_CHECKPOINT)
    return ckpt_path.is_file() or (ckpt_path.name == LAST_CHECKPOINT and previous.is_file())


def is_finished(folder: Path) -> bool:
    """Whether the run in a folder has finished."""
    return (folder / SUMMARY_FILE).is_file()


def finished_result(folder: Path) -> float | None:
    """Best value of the monitored metric of a finished run, as in a sweep that is started again; None without one."""
    logger.info("finished already: %s", folder)
    best: float | None = json.loads((folder / SUMMARY_FILE).read_text(encoding="utf-8"))["monitor"]["best"]
    return best


def find_unfinished(runs: Path, digest: str) -> Path | None:
    """The newest run that can be continued: same configuration, a checkpoint, no summary, and not running now.

    Args:
        runs: The folder of runs.
        digest: From :func:`configuration_digest`.
    """
    folders = sorted((folder for folder in runs.glob("*") if last_checkpoint(folder)), key=_last_saved, reverse=True)
    unfinished = (folder for folder in folders if not (folder / SUMMARY_FILE).is_file())
    return next((folder for folder in unfinished if has_configuration(folder, digest) and not _is_locked(folder)), None)


def has_configuration(folder: Path, digest: str) -> bool:
    """Whether a folder holds a run of this configuration."""
    path = folder / _DIGEST_FILE
    return path.is_file() and path.read_text(encoding="utf-8") == digest


def write_configuration(folder: Path, digest: str) -> None:
    """Store the digest of a run's configuration in its folder."""
    with atomic_write_text(folder / _DIGEST_FILE) as file:
        file.write(digest)


def configuration_digest(configuration: Mapping[str, Any]) -> str:
    """Digest of the part of a configuration that determines what is trained.

    Args:
        configuration: Plain values, with interpolations not resolved.
    """
    trained = {key: value for key, value in configuration.items() if key not in _KEYS_OUTSIDE_DIGEST}
    return sha256(json.dumps(trained, sort_keys=True, default=str).encode()).hexdigest()


@contextmanager
def locked_run_folder(folder: Path) -> Iterator[None]:
    """Lock a run's folder within the block, so that no other run writes to it.

    Unfinished checkpoints of a killed run are removed from it.

    Raises:
        ValueError: If another process has locked it.
    """
    lock = FileLock(folder / _LOCK_FILE)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise ValueError(
            f"Expected a run folder of its own but another process works in '{folder}'. Wait until it has ended."
        ) from error
    except (NotImplementedError, OSError) as error:
        logger.warning("'%s' cannot be locked (%s): do not start another run in it", folder, error)
    else:
        remove_temporary_files(folder / CHECKPOINT_FOLDER)
    try:
        yield
    finally:
        lock.release()


def _last_saved(folder: Path) -> int:
    files = ((folder / CHECKPOINT_FOLDER / name) for name in (LAST_CHECKPOINT, PREVIOUS_CHECKPOINT))
    return max(file.stat().st_mtime_ns for file in files if file.is_file())


def _is_locked(folder: Path) -> bool:
    try:
        with locked_run_folder(folder):
            return False
    except ValueError:
        return True
