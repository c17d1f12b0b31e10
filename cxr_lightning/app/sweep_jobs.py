"""Read the jobs of a sweep from its folder, and show their leaderboard."""

from dataclasses import replace
from pathlib import Path

from cxr_lightning.app.hydra_record import latest_record, read_overrides
from cxr_lightning.app.next_command import evaluate_command
from cxr_lightning.app.sweep_folder import job_folders
from cxr_lightning.evaluation.leaderboard import Leaderboard, SweepJob, rank_jobs
from cxr_lightning.report.leaderboard import show_leaderboard
from cxr_lightning.training.run_settings import is_compared
from cxr_lightning.training.summary_model import read_summary
from cxr_lightning.utils.command_line import override_key
from cxr_lightning.utils.file_names import ERROR_FILE, SUMMARY_FILE
from cxr_lightning.utils.regular_files import read_limited
from cxr_lightning.utils.terminal import say

_MAX_ERROR_BYTES = 100_000


def show_sweep(folder: Path) -> Leaderboard:
    """Show and write the leaderboard of a sweep's folder, and print the command that evaluates its best job.

    Raises:
        FileNotFoundError: If it is not the folder of a sweep.
        ValueError: If no job has finished, or the jobs cannot be compared.
    """
    board = read_leaderboard(folder)
    show_leaderboard(board, folder)
    best = board.best_job.summary if board.best_job else None
    if best and best.get("best_checkpoint") and Path(best["best_checkpoint"]).is_file():
        command = evaluate_command(best["best_checkpoint"])
        say(f"to evaluate the best job: {command}")
    return board


def read_leaderboard(folder: Path) -> Leaderboard:
    """The leaderboard of a sweep's folder.

    Raises:
        FileNotFoundError: If it is not the folder of a sweep.
        ValueError: If no job has finished, or the jobs cannot be compared.
    """
    return rank_jobs(read_jobs(folder))


def read_jobs(folder: Path) -> list[SweepJob]:
    """The jobs in a sweep's folder, in their order.

    Raises:
        FileNotFoundError: If there are none.
        ValueError: If a summary cannot be read.
    """
    if not folder.is_dir():
        found = "that is a file" if folder.exists() else "there is no such folder"
        raise FileNotFoundError(f"Expected a sweep's jobs in '{folder}' but {found}. Check the path.")
    jobs = [_read_job(path, folder) for path in job_folders(folder)]
    if not jobs:
        raise FileNotFoundError(
            f"Expected a sweep's jobs in '{folder}' but there is no folder in it with what a job was given. "
            "Give a folder below multiruns/."
        )
    given_to_all = set.intersection(*(set(job.settings) for job in jobs))
    return [replace(job, settings=_ranked_settings(job, given_to_all)) for job in jobs]


def _ranked_settings(job: SweepJob, given_to_all: set[str]) -> dict[str, str]:
    """The settings by which jobs are told apart: not those that change nothing, such as that it went on later."""
    return {key: value for key, value in job.settings.items() if key in given_to_all or is_compared(key)}


def _read_job(folder: Path, sweep: Path) -> SweepJob:
    name = str(folder.relative_to(sweep))
    path, error = folder / SUMMARY_FILE, folder / ERROR_FILE
    record = latest_record(folder, before=path) or latest_record(folder)
    overrides = [] if record is None else read_overrides(record)
    settings = {override_key(override): override.partition("=")[2] for override in overrides}
    if not path.is_file():
        return SweepJob(name, settings, None, _read_error(error))
    return SweepJob(name, settings, read_summary(path))


def _read_error(path: Path) -> str:
    """The message of a failed job; empty if there is none."""
    try:
        return read_limited(path, _MAX_ERROR_BYTES).decode("utf-8", errors="replace").strip()
    except FileNotFoundError:
        return ""
    except OSError as error:
        return f"its {path.name} cannot be read: {error.strerror}"
