"""Read the jobs of a sweep from its folder."""

import json
from pathlib import Path

from omegaconf import OmegaConf

from cxr_lightning.evaluation.leaderboard import Leaderboard, SweepJob, rank_jobs
from cxr_lightning.utils.file_names import ERROR_FILE, SUMMARY_FILE

_OVERRIDES_FILE = Path(".hydra") / "overrides.yaml"


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
    found = sorted(folder.glob(f"*/{_OVERRIDES_FILE}"), key=lambda path: _sort_key(path.parents[1].name))
    if not found:
        raise FileNotFoundError(
            f"Expected a sweep's jobs in '{folder}' but there is no subfolder with {_OVERRIDES_FILE}. "
            "Give a folder below multiruns/."
        )
    return [_read_job(path.parents[1]) for path in found]


def _sort_key(name: str) -> tuple[int, str]:
    return (int(name), "") if name.isdecimal() else (10**9, name)


def _read_job(folder: Path) -> SweepJob:
    overrides = OmegaConf.to_container(OmegaConf.load(folder / _OVERRIDES_FILE))
    pairs = (str(override).lstrip("+").partition("=") for override in overrides or [])
    settings = {name: value for name, _, value in pairs}
    path, error = folder / SUMMARY_FILE, folder / ERROR_FILE
    if error.is_file() or not path.is_file():  # a summary beside an error is that of an earlier start
        message = error.read_text(encoding="utf-8").strip() if error.is_file() else ""
        return SweepJob(folder.name, settings, None, message)
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
        summary["monitor"]["best"], summary["monitor"]["mode"], summary["data"]["splits"], summary["test"]
    except (ValueError, KeyError, TypeError) as problem:
        raise ValueError(
            f"Expected a run's summary in '{path}' but it is not one ({problem!r}). Delete it."
        ) from problem
    return SweepJob(folder.name, settings, summary)
