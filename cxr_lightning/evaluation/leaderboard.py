"""Jobs of a sweep to configurations, best first: mean and standard deviation over seeds."""

import json
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from cxr_lightning.training.run_folder import SUMMARY_FILE

ERROR_FILE = "error.txt"
"""What a job that failed says."""
_OVERRIDES_FILE = Path(".hydra") / "overrides.yaml"
_SEED = "seed"


@dataclass(frozen=True)
class Job:
    """One training of a sweep.

    Attributes:
        name: Its folder's.
        settings: What it was told, ``key`` to ``value``.
        summary: Its summary.json; None if it has not finished.
        error: Why not, if it says.
    """

    name: str
    settings: dict[str, str]
    summary: dict[str, Any] | None
    error: str = ""

    @property
    def value(self) -> float:
        """The best monitored number; NaN if there is none."""
        best = self.summary["monitor"]["best"] if self.summary else None
        return math.nan if best is None else float(best)


@dataclass(frozen=True)
class Standing:
    """One configuration.

    Attributes:
        settings: Those that differ between the sweep's configurations, without the seed.
        values: The monitored number of each seed that has one.
        jobs: How many there are of it, finished or not.
        test: Mean test AUROC of each seed, if it is the selected configuration.
    """

    settings: dict[str, str]
    values: tuple[float, ...]
    jobs: int
    test: tuple[float, ...] = ()

    @property
    def mean(self) -> float:
        """Over seeds; NaN without any."""
        return mean(self.values)

    @property
    def deviation(self) -> float:
        """Standard deviation over seeds, of a sample (n - 1); NaN for fewer than two."""
        return deviation(self.values)


@dataclass(frozen=True)
class Leaderboard:
    """A sweep's configurations.

    Attributes:
        monitor: Name of the number that they were selected on, on validation images.
        mode: ``max`` or ``min``, whichever is better.
        standings: Best first; those without a number last. Only the first has test numbers.
        failed: Jobs that have not finished.
        jobs: Number of all.
        title: What data it is of.
        synthetic: Whether that is.
        notes: What a reader should know.
    """

    monitor: str
    mode: str
    standings: tuple[Standing, ...]
    failed: tuple[Job, ...]
    jobs: int
    title: str
    synthetic: bool
    notes: tuple[str, ...] = ()


def mean(values: Sequence[float]) -> float:
    """NaN without any.

    Example:
        >>> mean([0.5, 0.75])
        0.625
    """
    return statistics.fmean(values) if values else math.nan


def deviation(values: Sequence[float]) -> float:
    """Standard deviation of a sample; NaN for fewer than two.

    Example:
        >>> deviation([0.5, 0.75])
        0.1767766952966369
    """
    return statistics.stdev(values) if len(values) > 1 else math.nan


def read_jobs(folder: Path) -> list[Job]:
    """The jobs in a sweep's folder, in their order.

    Raises:
        FileNotFoundError: If there are none.
        ValueError: If a summary is not one.
    """
    found = sorted(folder.glob(f"*/{_OVERRIDES_FILE}"), key=lambda path: _order(path.parents[1].name))
    if not found:
        raise FileNotFoundError(
            f"Expected a sweep's jobs in '{folder}' but there is no subfolder with {_OVERRIDES_FILE}. "
            "Give a folder below multiruns/."
        )
    return [_read_job(path.parents[1]) for path in found]


def read_leaderboard(folder: Path) -> Leaderboard:
    """The leaderboard of a sweep's folder.

    Raises:
        FileNotFoundError: If it is not a sweep's.
        ValueError: If no job has finished, or the jobs do not compare.
    """
    return rank(read_jobs(folder))


def rank(jobs: Sequence[Job]) -> Leaderboard:
    """Group jobs that differ in the seed alone, and order the groups by the mean of what they monitored.

    Raises:
        ValueError: If none has finished, or they monitored different things.
    """
    finished = [job.summary for job in jobs if job.summary is not None]
    failed = tuple(job for job in jobs if job.summary is None)
    if not finished:
        reasons = next((f" ({job.error.removesuffix('.')})" for job in failed if job.error), "")
        raise ValueError(f"Expected a finished job but none of {len(jobs)} is{reasons}. Mend that and start again.")
    monitors = sorted({(summary["monitor"]["name"], summary["monitor"]["mode"]) for summary in finished})
    if len(monitors) > 1:
        raise ValueError(f"Expected jobs that monitor one number but they monitor {monitors}. Compare them by hand.")
    ((monitor, mode),) = monitors
    groups: dict[tuple[tuple[str, str], ...], list[Job]] = {}
    for job in jobs:
        key = tuple(sorted((name, value) for name, value in job.settings.items() if name != _SEED))
        groups.setdefault(key, []).append(job)
    common = set.intersection(*(set(key) for key in groups))
    pairs = [
        (_standing({name: value for name, value in key if (name, value) not in common}, of), of)
        for key, of in groups.items()
    ]
    sign = -1 if mode == "max" else 1
    pairs.sort(key=lambda pair: math.inf if math.isnan(pair[0].mean) else sign * pair[0].mean)
    selected, its_jobs = pairs[0]
    standings = [replace(selected, test=_tests(its_jobs)), *(standing for standing, _ in pairs[1:])]
    return Leaderboard(
        monitor,
        mode,
        tuple(standings),
        failed,
        len(jobs),
        _title(finished),
        any(summary["data"]["synthetic"] for summary in finished),
        tuple(_notes(finished)),
    )


def _order(name: str) -> tuple[int, str]:
    return (int(name), "") if name.isdecimal() else (10**9, name)


def _read_job(folder: Path) -> Job:
    overrides = OmegaConf.to_container(OmegaConf.load(folder / _OVERRIDES_FILE))
    pairs = (str(override).lstrip("+").partition("=") for override in overrides or [])
    settings = {name: value for name, _, value in pairs}
    path, error = folder / SUMMARY_FILE, folder / ERROR_FILE
    if error.is_file() or not path.is_file():  # a summary beside an error is of an earlier start
        return Job(folder.name, settings, None, error.read_text(encoding="utf-8").strip() if error.is_file() else "")
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
        summary["monitor"]["best"], summary["monitor"]["mode"], summary["data"]["splits"], summary["test"]
    except (ValueError, KeyError, TypeError) as fault:
        raise ValueError(f"Expected a run's summary in '{path}' but it is not one ({fault!r}). Delete it.") from fault
    return Job(folder.name, settings, summary)


def _standing(settings: dict[str, str], jobs: Sequence[Job]) -> Standing:
    return Standing(settings, tuple(job.value for job in jobs if not math.isnan(job.value)), len(jobs))


def _tests(jobs: Sequence[Job]) -> tuple[float, ...]:
    tests = (job.summary["test"] for job in jobs if job.summary is not None and not math.isnan(job.value))
    return tuple(test["macro_auroc"] for test in tests if test is not None and test["macro_auroc"] is not None)


def _title(finished: Sequence[dict[str, Any]]) -> str:
    sources = sorted({summary["data"]["source"] for summary in finished})
    synthetic = any(summary["data"]["synthetic"] for summary in finished)
    return f"{'SYNTHETIC DATA' if synthetic else 'data'}: {', '.join(sources)}"


def _notes(finished: Sequence[dict[str, Any]]) -> list[str]:
    images = {json.dumps(summary["data"]["splits"].get("val"), sort_keys=True) for summary in finished}
    if len(images) > 1:
        return ["The jobs were validated on different images: their numbers do not compare."]
    return []
