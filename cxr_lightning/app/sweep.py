"""The end of a sweep: its leaderboard, also after jobs that failed."""

import sys
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from cxr_lightning.evaluation.leaderboard import ERROR_FILE, read_leaderboard

_folders: list[Path] = []


class RememberFolder(Callback):
    """Hydra's callback at a sweep's start; at its end Hydra calls none if a job has failed."""

    def on_multirun_start(self, config: DictConfig, **_: object) -> None:
        """Take note of the sweep's folder."""
        _folders.append(Path(config.hydra.sweep.dir))


def note_failure(message: str) -> None:
    """Leave in a job's folder why it failed."""
    folder = Path(HydraConfig.get().runtime.output_dir)
    (folder / ERROR_FILE).write_text(f"{message}\n", encoding="utf-8")


def note_start() -> None:
    """Forget why a job had failed that is started again."""
    (Path(HydraConfig.get().runtime.output_dir) / ERROR_FILE).unlink(missing_ok=True)


def forget_sweep() -> None:
    """One that was stopped has no end."""
    _folders.clear()


def end_of_sweep() -> None:
    """Show the leaderboard of the sweep that has just ended, if there was one.

    Raises:
        ValueError: If not all of its jobs have finished.
        FileNotFoundError: If it has none.
    """
    if not _folders:
        return
    from cxr_lightning.report.leaderboard import show_leaderboard

    folder = _folders.pop()
    board = read_leaderboard(folder)
    show_leaderboard(board, folder)
    for job in board.failed:
        print(f"job {job.name} failed: {job.error or 'it ended without a word'}", file=sys.stderr)
    if board.failed:
        raise ValueError(f"Expected all {board.jobs} jobs to finish but {len(board.failed)} have not; see above.")
