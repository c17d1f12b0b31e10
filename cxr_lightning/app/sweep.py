"""The end of a sweep: its leaderboard, also after jobs that failed."""

import sys
from pathlib import Path
from pkgutil import resolve_name

from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from cxr_lightning.utils.file_names import ERROR_FILE
from cxr_lightning.utils.io import atomic_write_text

_SHOW_SWEEP = "cxr_lightning.app.sweep_jobs:show_sweep"
"""Function that is imported at the end of a sweep: it takes numpy and matplotlib."""

_RECORD = "multirun.yaml"
"""Hydra's record of what a sweep was given."""

_folders: list[Path] = []


class RememberFolder(Callback):
    """Remember a sweep's folder at its start, since Hydra calls no callback at its end if a job has failed."""

    def on_multirun_start(self, config: DictConfig, **_: object) -> None:
        """Remember the sweep's folder; keep Hydra's record of an earlier start of that sweep."""
        folder = Path(config.hydra.sweep.dir)
        _folders.append(folder)
        if (record := folder / _RECORD).exists():
            record.rename(folder / f"{record.stem}_{len(list(folder.glob('multirun*.yaml')))}.yaml")


def write_failure(message: str) -> None:
    """Write why a job failed into its folder."""
    folder = Path(HydraConfig.get().runtime.output_dir)
    with atomic_write_text(folder / ERROR_FILE) as file:
        file.write(f"{message}\n")


def clear_failure() -> None:
    """Delete the message of an earlier failure of a job that is started again."""
    (Path(HydraConfig.get().runtime.output_dir) / ERROR_FILE).unlink(missing_ok=True)


def forget_sweep() -> None:
    """Forget the folder of a sweep that was stopped before its end."""
    _folders.clear()


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
    board = resolve_name(_SHOW_SWEEP)(_folders.pop())
    for job in board.failed:
        print(f"job {job.name} failed: {job.error or 'it ended without a message'}", file=sys.stderr)
    if board.failed:
        raise ValueError(f"Expected all {board.jobs} jobs to finish but {len(board.failed)} have not; see above.")
