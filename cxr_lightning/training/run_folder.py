"""The folder that a run writes to: a new one, or that of the run that it resumes."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from cxr_lightning.training.run_limits import is_longer
from cxr_lightning.training.run_settings import (
    RunSettings,
    describe_differences,
    different_keys,
    is_same_length,
    read_settings,
)
from cxr_lightning.utils.file_names import (
    CHECKPOINT_FOLDER,
    LAST_CHECKPOINT,
    LOCK_FILE,
    PREVIOUS_CHECKPOINT,
    SUMMARY_FILE,
)
from cxr_lightning.utils.io import remove_temporary_files

logger = logging.getLogger(__name__)

_PROBE_SECONDS = 1.0
"""How long another process may hold a lock only to see whether there is one."""


class OccupiedFolderError(ValueError):
    """A folder that holds another run, report or sweep, or in which another process works."""


def choose_run_folder(
    ckpt_path: object, resume: object, new_folder: str, settings: Callable[[], RunSettings], *, train: bool
) -> str:
    """Choose the folder of this run.

    Args:
        ckpt_path: Checkpoint to resume from, or to test. A run that is resumed from its ``last.ckpt`` goes on in
            its own folder; from another of its checkpoints a new run starts, since that would replace later ones.
        resume: ``auto`` chooses the folder of the newest unfinished run of the same settings, or else that of the
            newest finished one that is to train for longer now, if there is one.
        new_folder: The folder to use otherwise.
        settings: Gives the settings of this run.
        train: Whether there is a training.
    """
    if train and isinstance(ckpt_path, str) and (own := folder_of_last_checkpoint(ckpt_path)) is not None:
        return str(own)
    if train and resume == "auto" and ckpt_path is None:
        runs = Path(new_folder).parent
        return str(_run_to_resume(runs, settings) or new_folder)
    return new_folder


def _run_to_resume(runs: Path, settings: Callable[[], RunSettings]) -> Path | None:
    """The newest unfinished run of some settings, or else the newest finished one that is to be longer, if any."""
    if not (folders := _with_checkpoint(runs)):  # settings are not asked for in vain
        return None
    current = settings()
    longer: Path | None = None
    for folder in folders:
        recorded = read_settings(folder)
        if recorded is None or different_keys(recorded.compared, current) or _is_locked(folder):
            continue
        if not is_finished(folder):
            return folder
        if longer is None and is_longer(recorded.length, current.length):
            longer = folder
    return longer


def folder_of_last_checkpoint(ckpt_path: str) -> Path | None:
    """The folder of the run whose last checkpoint this is; None for any other checkpoint."""
    path = Path(ckpt_path).absolute()
    is_last = path.name == LAST_CHECKPOINT and path.parent.name == CHECKPOINT_FOLDER and has_checkpoint(path)
    return path.parent.parent if is_last else None


def resumes_unfinished_run(ckpt_path: str | None, folder: Path) -> bool:
    """Whether a checkpoint is the last one of the run in a folder, which has no summary yet."""
    return (
        ckpt_path is not None and folder_of_last_checkpoint(ckpt_path) == folder.absolute() and not is_finished(folder)
    )


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


def is_finished_as(folder: Path, settings: RunSettings) -> bool:
    """Whether the run in a folder has finished with these settings, its length among them."""
    recorded = read_settings(folder)
    return (
        is_finished(folder)
        and recorded is not None
        and not different_keys(recorded.compared, settings)
        and is_same_length(recorded.length, settings.length)
    )


def unfinished_runs(runs: Path) -> list[Path]:
    """Folders of the runs that have a checkpoint but no summary and are not running now, the newest first.

    Args:
        runs: The folder of runs.
    """
    return [folder for folder in _with_checkpoint(runs) if not is_finished(folder) and not _is_locked(folder)]


def _finished_runs(runs: Path, settings: RunSettings) -> list[Path]:
    """Folders of the finished runs of the same settings, whatever their length, the newest first."""
    return [folder for folder in _with_checkpoint(runs) if is_finished(folder) and is_same_run(folder, settings)]


def _with_checkpoint(runs: Path) -> list[Path]:
    """Folders of the runs that have a checkpoint to resume from, the newest first."""
    return sorted((folder for folder in runs.glob("*") if last_checkpoint(folder)), key=_last_saved, reverse=True)


def is_same_run(folder: Path, settings: RunSettings) -> bool:
    """Whether the run in a folder was started with the same settings."""
    recorded = read_settings(folder)
    return recorded is not None and not different_keys(recorded.compared, settings)


def explain_new_run(folder: Path, settings: RunSettings) -> str:
    """Why a run with ``resume=auto`` starts anew although there are others; empty if there are none to think of.

    Args:
        folder: The folder of the new run.
        settings: Its settings.
    """
    others = [run for run in unfinished_runs(folder.parent) if run != folder]
    if not others:
        finished = _finished_runs(folder.parent, settings)
        return f"the run '{finished[0]}' of the same settings has finished" if finished else ""
    recorded = read_settings(others[0])
    if recorded is None:
        return f"the unfinished run '{others[0]}' is of an earlier version, which did not record its settings"
    return f"the unfinished run '{others[0]}' differs: {', '.join(describe_differences(recorded.compared, settings))}"


@contextmanager
def locked_run_folder(folder: Path) -> Iterator[None]:
    """Lock a run's folder within the block, so that no other run writes to it.

    Unfinished checkpoints of a killed run are removed from it.

    Raises:
        OccupiedFolderError: If another process has locked it.
    """
    lock = FileLock(folder / LOCK_FILE)
    try:
        _acquire(lock, folder, timeout=_PROBE_SECONDS)
    except (NotImplementedError, OSError) as error:
        logger.warning("'%s' cannot be locked (%s): do not start another run in it", folder, error)
    else:
        remove_temporary_files(folder / CHECKPOINT_FOLDER)
    try:
        yield
    finally:
        lock.release()


def refuse_locked_folder(folder: Path) -> None:
    """Refuse a folder in which another process works; nothing in it is changed.

    Raises:
        OccupiedFolderError: If another process has locked it.
    """
    if (folder / LOCK_FILE).exists():
        lock = FileLock(folder / LOCK_FILE)
        with suppress(NotImplementedError, OSError):  # where files cannot be locked, nobody has
            _acquire(lock, folder, timeout=0)
        lock.release()


def _acquire(lock: FileLock, folder: Path, *, timeout: float) -> None:
    try:
        lock.acquire(timeout=timeout)
    except Timeout as error:  # an OSError too, as are those of a folder that cannot be locked
        raise OccupiedFolderError(
            f"Expected a run folder of its own but another process works in '{folder}'. Wait until it has ended."
        ) from error


def _last_saved(folder: Path) -> int:
    files = ((folder / CHECKPOINT_FOLDER / name) for name in (LAST_CHECKPOINT, PREVIOUS_CHECKPOINT))
    return max(file.stat().st_mtime_ns for file in files if file.is_file())


def _is_locked(folder: Path) -> bool:
    try:
        refuse_locked_folder(folder)
    except OccupiedFolderError:
        return True
    return False
