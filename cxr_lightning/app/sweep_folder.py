"""Folders of a sweep's jobs: each job has one of its own, also in the folder of a sweep that goes on."""

from collections.abc import Iterator
from pathlib import Path

from omegaconf import DictConfig

from cxr_lightning.app.hydra_record import is_of_sweep, latest_record, run_settings_in
from cxr_lightning.app.run_identity import settings_of
from cxr_lightning.training.run_settings import different_keys, is_same_length

MAX_SEARCHED_FOLDERS, MAX_SEARCHED_LEVELS = 10_000, 30
"""Bounds of the folders, and of their levels, in which a sweep's jobs are looked for."""
SWEEP_RECORD = "multirun.yaml"
"""Hydra's record of what a sweep was given."""
_SWEEP_RECORDS = ("multirun*.yaml", "optimization_results.yaml")
"""Files by which the folder of a sweep is known, as patterns."""


def choose_job_folder(sweep: Path, number: int, resume: object, config: DictConfig) -> str:
    """Choose the folder of a sweep's job, by its path in the sweep's folder, and create it.

    A job that goes on (``resume=auto``) has the folder of before: that of a run of the same settings and, if there are
    several, of the same length. Any other has that of its number if there is none yet, and else the next.

    Args:
        sweep: The sweep's folder.
        number: Hydra's number of the job, from 0.
        resume: ``auto`` if jobs of an earlier start are to go on.
        config: ``conf/train.yaml``, composed for the job, with Hydra's.
    """
    own = sweep / str(number)
    if resume == "auto" and (before := _earlier_job_folder(sweep, own, config)) is not None:
        return str(before.relative_to(sweep))
    return own.name if _claim(own) else _claim_next(sweep)


def job_folders(sweep: Path) -> list[Path]:
    """The folders of jobs in a sweep's folder, in their order; a job's path may have several parts."""
    folders = [folder.relative_to(sweep) for folder in _jobs_in(sweep, iter(range(MAX_SEARCHED_FOLDERS)))]
    folders.sort(key=lambda path: (int(str(path)), "") if str(path).isdecimal() else (10**9, str(path)))
    return [sweep / folder for folder in folders]


def holds_sweep(folder: Path) -> bool:
    """Whether a folder is that of a sweep."""
    return any(next(folder.glob(pattern), None) for pattern in _SWEEP_RECORDS)


def _earlier_job_folder(sweep: Path, own: Path, config: DictConfig) -> Path | None:
    """The folder of the job that an earlier start has begun with the same settings; None if there is none."""
    begun = job_folders(sweep)
    if own.exists():
        begun.insert(0, own)
    else:  # a number that no job has had; the folders with names may be of any
        begun = [folder for folder in begun if not str(folder.relative_to(sweep)).isdecimal()]
    if not begun:
        return None
    current = settings_of(config)
    same: list[Path] = []
    for folder in begun:
        recorded = run_settings_in(folder)
        if recorded is None or different_keys(recorded.compared, current):
            continue
        if is_same_length(recorded.length, current.length):
            return folder
        same.append(folder)
    return next(iter(same), None)


def _jobs_in(folder: Path, left: Iterator[int], depth: int = 0) -> Iterator[Path]:
    """Folders of jobs at any depth: directly below, all that Hydra has recorded; further below, no other sweep's."""
    for path in folder.glob("*"):
        if (record := latest_record(path)) is not None:
            if depth == 0 or is_of_sweep(record):
                yield path
        elif path.is_dir() and not path.is_symlink() and not holds_sweep(path):
            if next(left, None) is None or depth >= MAX_SEARCHED_LEVELS:
                raise ValueError(
                    f"Expected the folder of a sweep but '{path}' is the {MAX_SEARCHED_FOLDERS:,}th folder of other "
                    f"things, or {MAX_SEARCHED_LEVELS} levels below. Give a sweep's own folder."
                )
            yield from _jobs_in(path, left, depth + 1)


def _claim(folder: Path) -> bool:
    """Create a folder; False if it is there already, perhaps since another process has just created it."""
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        return False
    return True


def _claim_next(sweep: Path) -> str:
    number = 1 + max((int(path.name) for path in sweep.glob("*") if path.name.isdecimal()), default=-1)
    while not _claim(sweep / str(number)):
        number += 1
    return str(number)
