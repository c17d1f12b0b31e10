"""Jobs of a sweep to configurations, best first: mean and standard deviation over seeds."""

import json
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from cxr_lightning.metrics.ranking import macro_mean

_SEED = "seed"


@dataclass(frozen=True)
class SweepJob:
    """One training of a sweep.

    Attributes:
        name: Name of its folder.
        settings: Its overrides, ``key`` to ``value``.
        summary: Its summary.json; None if it has not finished.
        error: Message of its failure; empty if there is none.
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
class LeaderboardEntry:
    """One configuration.

    Attributes:
        settings: Settings that differ between the sweep's configurations, without the seed.
        values: The monitored number of each seed that has one.
        jobs: Number of its jobs, finished or not.
        test: Mean test AUROC of each seed, if it is the selected configuration.
    """

    settings: dict[str, str]
    values: tuple[float, ...]
    jobs: int
    test: tuple[float, ...] = ()

    @property
    def mean(self) -> float:
        """Mean over seeds; NaN without any."""
        return macro_mean(self.values)[0]

    @property
    def deviation(self) -> float:
        """Standard deviation over seeds, of a sample (n - 1); NaN for fewer than two."""
        return sample_deviation(self.values)

    @property
    def test_mean(self) -> float:
        """Mean test AUROC over seeds; NaN without any."""
        return macro_mean(self.test)[0]

    @property
    def test_deviation(self) -> float:
        """Standard deviation of the test AUROC over seeds; NaN for fewer than two."""
        return sample_deviation(self.test)


@dataclass(frozen=True)
class Leaderboard:
    """A sweep's configurations.

    Attributes:
        monitor: Name of the number on which they were selected, of validation images.
        mode: ``max`` or ``min``, whichever is better.
        entries: Best first; those without a number last. Only the first has test numbers.
        failed: Jobs that have not finished.
        jobs: Number of all jobs.
        sources: Names of the data set layouts.
        synthetic: Whether any job's images are synthetic.
        same_validation: Whether all jobs were validated on the same images.
    """

    monitor: str
    mode: str
    entries: tuple[LeaderboardEntry, ...]
    failed: tuple[SweepJob, ...]
    jobs: int
    sources: tuple[str, ...]
    synthetic: bool
    same_validation: bool = True


def sample_deviation(values: Sequence[float]) -> float:
    """Standard deviation of a sample (n - 1); NaN for fewer than two.

    Example:
        >>> sample_deviation([0.5, 0.75])
        0.1767766952966369
    """
    return statistics.stdev(values) if len(values) > 1 else math.nan


def rank_jobs(jobs: Sequence[SweepJob]) -> Leaderboard:
    """Group jobs that differ in the seed alone, and order the groups by the mean of what they monitored.

    Raises:
        ValueError: If none has finished, or they monitored different things.
    """
    finished = [job.summary for job in jobs if job.summary is not None]
    failed = tuple(job for job in jobs if job.summary is None)
    if not finished:
        reasons = next((f" ({job.error.removesuffix('.')})" for job in failed if job.error), "")
        raise ValueError(f"Expected a finished job but none of {len(jobs)} is{reasons}. Mend that and start again.")
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
    selected, its_jobs = pairs[0]
    return Leaderboard(
        monitor,
        mode,
        (replace(selected, test=_test_values(its_jobs)), *(entry for entry, _ in pairs[1:])),
        failed,
        len(jobs),
        tuple(sorted({summary["data"]["source"] for summary in finished})),
        any(summary["data"]["synthetic"] for summary in finished),
        len({json.dumps(summary["data"]["splits"].get("val"), sort_keys=True) for summary in finished}) == 1,
    )


def _common_monitor(finished: Sequence[dict[str, Any]]) -> tuple[str, str]:
    """Name and mode of the number that all jobs monitored."""
    monitors = sorted({(summary["monitor"]["name"], summary["monitor"]["mode"]) for summary in finished})
    if len(monitors) > 1:
        raise ValueError(f"Expected jobs that monitor one number but they monitor {monitors}. Compare them by hand.")
    return monitors[0]


def _entry(settings: dict[str, str], jobs: Sequence[SweepJob]) -> LeaderboardEntry:
    return LeaderboardEntry(settings, tuple(job.value for job in jobs if not math.isnan(job.value)), len(jobs))


def _test_values(jobs: Sequence[SweepJob]) -> tuple[float, ...]:
    tests = (job.summary["test"] for job in jobs if job.summary is not None and not math.isnan(job.value))
    return tuple(test["macro_auroc"] for test in tests if test is not None and test["macro_auroc"] is not None)
