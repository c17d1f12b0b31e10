"""The end of a sweep: its leaderboard, also after jobs that failed."""

from dataclasses import dataclass
from itertools import count
from pathlib import Path
from pkgutil import resolve_name

from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from cxr_lightning.app.sweep_folder import SWEEP_RECORD
from cxr_lightning.utils.file_names import ERROR_FILE, SUMMARY_FILE
from cxr_lightning.utils.io import atomic_write_text
from cxr_lightning.utils.terminal import say_error

_SHOW_SWEEP = "cxr_lightning.app.sweep_jobs:show_sweep"
"""Function that is imported at the end of a sweep: it takes numpy and matplotlib."""

_folders: list[Path] = []
_unrecorded: list["UnrecordedFailure"] = []
"""Jobs that failed and left no error.txt."""


@dataclass(frozen=True)
class UnrecordedFailure:
    """A job that failed, where no file says so.

    Attributes:
        line: What is said at the sweep's end.
        has_folder: Whether the job has a folder of its own, in which the sweep's other jobs are counted.
    """

    line: str
    has_folder: bool


class RememberFolder(Callback):
    """Remember a sweep's folder at its start, since Hydra calls no callback at its end if a job has failed."""

    def on_multirun_start(self, config: DictConfig, **_: object) -> None:
        """Remember the sweep's folder; keep Hydra's record of an earlier start of that sweep."""
        folder = Path(config.hydra.sweep.dir)
        _folders.append(folder)
        if (record := folder / SWEEP_RECORD).exists():
            names = (f"{record.stem}_{number}.yaml" for number in count(1))
            record.rename(next(folder / name for name in names if not (folder / name).exists()))


def write_failure(message: str, *, has_folder: bool) -> None:
    """Write why a job failed into its folder; if that is another's, or the finished job in it is intact, say it later.

    Args:
        message: The error's message.
        has_folder: Whether the job has a folder of its own.
    """
    folder = Path(HydraConfig.get().runtime.output_dir)
    if not has_folder or (folder / SUMMARY_FILE).is_file():
        line = f"job {HydraConfig.get().job.num} failed: {message}"
        _unrecorded.append(UnrecordedFailure(line, has_folder))
        return
    with atomic_write_text(folder / ERROR_FILE) as file:
        file.write(f"{message}\n")


def clear_failure() -> None:
    """Delete the message of an earlier failure of a job that is started again."""
    (Path(HydraConfig.get().runtime.output_dir) / ERROR_FILE).unlink(missing_ok=True)


def forget_sweep() -> None:
    """Forget the folder of a sweep that was stopped before its end, and its jobs."""
    _folders.clear()
    _unrecorded.clear()


def unfinished_sweep() -> Path | None:
    """Folder of the sweep that has begun and is not finished; None without one."""
    return _folders[-1] if _folders else None


def finish_sweep() -> None:
    """Show the leaderboard of the sweep that has just ended, if there was one.

    Raises:
        ValueError: If not all of its jobs have finished.
        FileNotFoundError: If it has none.
    """
    if not _folders:
        return
    for failure in _unrecorded:
        say_error(failure.line)
    board = resolve_name(_SHOW_SWEEP)(_folders.pop())
    for job in board.failed:
        say_error(f"job {job.name} failed: {job.error or 'it ended without a message'}")
    if failed := len(board.failed) + len(_unrecorded):
        jobs = board.jobs + sum(not failure.has_folder for failure in _unrecorded)
        raise ValueError(f"Expected all {jobs} jobs to finish but {failed} have not; see above.")
