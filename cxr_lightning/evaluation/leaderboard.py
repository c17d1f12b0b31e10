"""Leaderboard of a sweep: configurations, best first, with mean and standard deviation over seeds."""

import json
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from cxr_lightning.metrics.ranking import macro_mean
from cxr_lightning.utils.json_values import null_to_nan

_SEED = "seed"


@dataclass(frozen=True)
class SweepJob:
    """One training job of a sweep.

    Attributes:
        name: Path of the job's folder in that of the sweep.
        settings: The job's overrides, ``key`` to ``value``.
        summary: Content of summary.json; None if the job has not finished.
        error: Error message of a failed job; empty if there is none.
    """

    name: str
    settings: dict[str, str]
    summary: dict[str, Any] | None
    error: str = ""

    @property
    def value(self) -> float:
        """The best value of the monitored metric; NaN if there is none."""
        return null_to_nan(self.summary["monitor"]["best"] if self.summary else None)


@dataclass(frozen=True)
class LeaderboardEntry:
    """One configuration of a sweep.

    Attributes:
        settings: Settings that differ between the sweep's configurations, without the seed.
        values: Best value of the monitored metric for each seed that has one.
        jobs: Number of jobs, finished or not.
        test: Mean test AUROC of each seed; empty unless this is the selected configuration.
    """

    settings: dict[str, str]
    values: tuple[float, ...]
    jobs: int
    test: tuple[float, ...] = ()

    @property
    def mean(self) -> float:
        """Mean over seeds; NaN if there are none."""
        return macro_mean(self.values)[0]

    @property
    def deviation(self) -> float:
        """Sample standard deviation (n - 1) over seeds; NaN for fewer than two."""
        return sample_deviation(self.values)

    @property
    def test_mean(self) -> float:
        """Mean test AUROC over seeds; NaN if there are none."""
        return macro_mean(self.test)[0]

    @property
    def test_deviation(self) -> float:
        """Sample standard deviation (n - 1) of the test AUROC over seeds; NaN for fewer than two."""
        return sample_deviation(self.test)


@dataclass(frozen=True)
class Leaderboard:
    """Ranked configurations of a sweep.

    Attributes:
        monitor: Name of the validation metric by which configurations are ranked.
        mode: ``max`` if higher is better, ``min`` if lower is.
        entries: Configurations, best first; those without a value are last. Only the first has test values.
        failed: Jobs that have not finished.
        jobs: Number of all jobs.
        sources: Names of the data sets' layouts.
        synthetic: Whether any job's images are synthetic.
        same_validation: Whether all jobs were validated on the same images.
        best_job: The best job of the first configuration; None if it has no value.
    """

    monitor: str
    mode: str
    entries: tuple[LeaderboardEntry, ...]
    failed: tuple[SweepJob, ...]
    jobs: int
    sources: tuple[str, ...]
    synthetic: bool
    same_validation: bool = True
    best_job: SweepJob | None = None


def sample_deviation(values: Sequence[float]) -> float:
    """Sample standard deviation (n - 1); NaN for fewer than two values.

    Example:
        >>> sample_deviation([0.5, 0.75])
        0.1767766952966369
    """
    return statistics.stdev(values) if len(values) > 1 else math.nan


def rank_jobs(jobs: Sequence[SweepJob]) -> Leaderboard:
    """Group jobs that differ only in the seed, and rank the groups by the mean of the monitored metric.

    Raises:
        ValueError: If no job has finished, or the jobs monitored different metrics.
    """
    finished = [job.summary for job in jobs if job.summary is not None]
    failed = tuple(job for job in jobs if job.summary is None)
    if not finished:
        reason = next((f" ({job.error.removesuffix('.')})" for job in failed if job.error), "")
        raise ValueError(f"Expected a finished job but none of {len(jobs)} is{reason}. Fix that and start again.")
    monitor, mode = _common_monitor(finished)
    groups: dict[tuple[tuple[str, str], ...], list[SweepJob]] = {}
    for job in jobs:
        key = tuple(sorted((name, value) for name, value in job.settings.items() if name != _SEED))
        groups.setdefault(key, []).append(job)
    common = set.intersection(*(set(key) for key in groups))
    pairs = [
        (_entry({name: value for name, value in key if (name, value) not in common}, members), members)
        for key, members in groups.items()
    ]
    sign = -1 if mode == "max" else 1
    pairs.sort(key=lambda pair: math.inf if math.isnan(pair[0].mean) else sign * pair[0].mean)
    best, best_jobs = pairs[0]
    return Leaderboard(
        monitor,
        mode,
        (replace(best, test=_test_values(best_jobs)), *(entry for entry, _ in pairs[1:])),
        failed,
        len(jobs),
        tuple(sorted({summary["data"]["source"] for summary in finished})),
        any(summary["data"]["synthetic"] for summary in finished),
        len({json.dumps(summary["data"]["splits"].get("val"), sort_keys=True) for summary in finished}) == 1,
        max((job for job in best_jobs if not math.isnan(job.value)), key=lambda job: -sign * job.value, default=None),
    )


def _common_monitor(finished: Sequence[dict[str, Any]]) -> tuple[str, str]:
    """Name and mode of the metric that all jobs monitored."""
    monitors = sorted({(summary["monitor"]["name"], summary["monitor"]["mode"]) for summary in finished})
    if len(monitors) > 1:
        raise ValueError(f"Expected jobs that monitor one number but they monitor {monitors}. Compare them by hand.")
    return monitors[0]


def _entry(settings: dict[str, str], jobs: Sequence[SweepJob]) -> LeaderboardEntry:
    return LeaderboardEntry(settings, tuple(job.value for job in jobs if not math.isnan(job.value)), len(jobs))


def _test_values(jobs: Sequence[SweepJob]) -> tuple[float, ...]:
    tests = (job.summary["test"] for job in jobs if job.summary is not None and not math.isnan(job.value))
    return tuple(test["macro_auroc"] for test in tests if test is not None and test["macro_auroc"] is not None)
