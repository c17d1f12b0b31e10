"""Folders of a sweep's jobs: each job has one of its own, also in the folder of a sweep that goes on."""

from collections.abc import Iterator
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from cxr_lightning.app.run_identity import settings_of
from cxr_lightning.training.run_folder import is_same_run
from cxr_lightning.training.run_settings import is_compared
from cxr_lightning.utils.command_line import override_key

HYDRA_FOLDER = ".hydra"
"""Hydra's record of a job; that of a later start in the same folder is ``.hydra_2`` and so on."""
_OVERRIDES_FILE = "overrides.yaml"


def choose_job_folder(sweep: Path, number: int, resume: object, config: DictConfig) -> str:
    """Choose the folder of a sweep's job, by its name in the sweep's folder, and create it.

    A job that goes on (``resume=auto``) has the folder of before. Any other has that of its number if there is none
    yet, and else the next.

    Args:
        sweep: The sweep's folder.
        number: Hydra's number of the job, from 0.
        resume: ``auto`` if jobs of an earlier start are to go on.
        config: ``conf/train.yaml``, composed for the job, with Hydra's.
    """
    own = sweep / str(number)
    if _claim(own):
        return own.name
    if resume == "auto":
        if is_same_run(own, settings_of(config)):
            return own.name
        given = _compared_overrides(list(config.hydra.overrides.task))
        for folder in (own, *job_folders(sweep)):
            record = latest_hydra_folder(folder)
            if record is not None and _compared_overrides(read_overrides(record)) == given:
                return folder.name
    return _claim_next(sweep)


def job_folders(sweep: Path) -> Iterator[Path]:
    """The folders of jobs in a sweep's folder, in their order."""
    folders = [path for path in sweep.glob("*") if latest_hydra_folder(path) is not None]
    yield from sorted(folders, key=lambda path: (int(path.name), "") if path.name.isdecimal() else (10**9, path.name))


def latest_hydra_folder(folder: Path) -> Path | None:
    """Hydra's newest record in a run's folder that says what was given; None if there is none."""
    found = [path.parent for path in folder.glob(f"{HYDRA_FOLDER}*/{_OVERRIDES_FILE}")]
    return max(found, key=lambda path: _start(path.name), default=None)


def next_hydra_folder(folder: Path) -> str:
    """Name for another record of Hydra's beside those in a run's folder."""
    starts = [_start(path.name) for path in folder.glob(f"{HYDRA_FOLDER}*")]
    return f"{HYDRA_FOLDER}_{max(starts) + 1}" if starts else HYDRA_FOLDER


def read_overrides(record: Path) -> list[str]:
    """The ``key=value`` that a job was given, from Hydra's record."""
    return [str(override) for override in OmegaConf.to_container(OmegaConf.load(record / _OVERRIDES_FILE)) or []]


def _compared_overrides(overrides: list[str]) -> list[str]:
    return sorted(override for override in overrides if is_compared(override_key(override)))


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


def _start(name: str) -> int:
    """Which start of the job a record is of."""
    number = name.rpartition("_")[2]
    return int(number) if number.isdecimal() else 1
