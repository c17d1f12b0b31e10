"""Intervals by drawing patients, not images, anew: two images of one patient are not two independent facts."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from cxr_lightning.metrics.ranking import Array, Ranking

LEVEL = 0.95
"""Of every interval."""

_MOST_COUNTS = 250_000_000  # numbers of eight bytes


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval; NaN where undefined.

    Attributes:
        value: From all images.
        low: Lower end.
        high: Upper end.
    """

    value: float = math.nan
    low: float = math.nan
    high: float = math.nan


@dataclass(frozen=True)
class Resampling:
    """How often each patient is drawn in each replicate.

    Attributes:
        counts: ``(R, number of patients)``; each row sums to the number of patients.
        patient: Which patient each image is of, ``(N,)``.
    """

    counts: NDArray[np.int64]
    patient: NDArray[np.intp]

    @property
    def patients(self) -> int:
        """Number of patients."""
        return int(self.counts.shape[1])

    def weights(self, replicate: int) -> Array:
        """How often each image counts in one replicate, ``(N,)``."""
        drawn: Array = self.counts[replicate, self.patient].astype(np.float64)
        return drawn

    def sums(self, values: Array) -> Array:
        """A quantity's sum over images in each replicate, ``(R,)``; zero for images whose value is NaN.

        Args:
            values: One number per image, ``(N,)``.
        """
        total: Array = self._matrix @ np.bincount(self.patient, np.nan_to_num(values), minlength=self.patients)
        return total

    @cached_property
    def _matrix(self) -> Array:
        return self.counts.astype(np.float64)


def draw_patients(patient_ids: Sequence[str] | NDArray[np.object_], replicates: int, seed: int) -> Resampling:
    """Draw as many patients as there are, with replacement, for each replicate.

    The draws do not depend on the order of the images.

    Args:
        patient_ids: One per image, ``(N,)``.
        replicates: R.
        seed: Of the draws.

    Raises:
        ValueError: If there are no images, fewer than 2 replicates or too many, or the seed is negative.
    """
    if replicates < 2 or seed < 0 or len(patient_ids) == 0:
        raise ValueError(
            f"Expected images, at least 2 `replicates` and a `seed` of at least 0 but got {len(patient_ids)} images, "
            f"{replicates} replicates and the seed {seed}."
        )
    names, patient = np.unique(np.asarray(patient_ids, dtype=str), return_inverse=True)
    if len(names) * replicates > _MOST_COUNTS:
        raise ValueError(
            f"Expected at most {_MOST_COUNTS // len(names):,} `replicates` of {len(names):,} patients but got "
            f"{replicates:,}: more do not fit into memory. 1000 are usual."
        )
    share = np.full(len(names), 1 / len(names))
    counts = np.random.default_rng(seed).multinomial(len(names), share, size=replicates)
    return Resampling(counts, patient)


def bootstrap_scores(rankings: Sequence[Ranking], resampling: Resampling) -> tuple[Array, Array]:
    """AUROC and average precision of each label in each replicate.

    Args:
        rankings: One per label.
        resampling: Of the same images.

    Returns:
        Two arrays ``(R, C)``; NaN where a replicate has no positive or no negative, and in the whole column of a label
        whose positives, or negatives, are all of one patient: such draws say nothing about other patients.
    """
    replicates = len(resampling.counts)
    scores = np.full((2, replicates, len(rankings)), math.nan)
    columns = [number for number, ranking in enumerate(rankings) if _vary(ranking, resampling)]
    for replicate in range(replicates):
        weights = resampling.weights(replicate)
        for column in columns:
            scores[:, replicate, column] = rankings[column].score(weights)
    return scores[0], scores[1]


def _vary(ranking: Ranking, resampling: Resampling) -> bool:
    """Whether both sides of a label have at least two patients."""
    sides = (ranking.positives, ranking.negatives)
    return all(len(np.unique(resampling.patient[rows])) > 1 for rows in sides)


def estimate(value: float, replicates: Array) -> Estimate:
    """A number with the percentile interval of its replicates.

    Args:
        value: From all images.
        replicates: ``(R,)``; undefined (NaN) ones are left out.

    Example:
        >>> found = estimate(100.0, np.arange(201.0))
        >>> round(found.low, 6), round(found.high, 6)
        (5.0, 195.0)
    """
    defined = replicates[~np.isnan(replicates)]
    if math.isnan(value) or len(defined) < 2:
        return Estimate(value)
    low, high = np.quantile(defined, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(value, float(low), float(high))


def mean_estimate(values: Sequence[float], replicates: Array) -> tuple[Estimate, int]:
    """The mean over defined labels with its interval, and how many they are.

    A replicate in which a label has lost its positives is the mean over the others. A label that is defined but has no
    interval counts in the value and leaves the mean without an interval.

    Args:
        values: One per label, NaN where undefined.
        replicates: ``(R, C)``.
    """
    array = np.asarray(values, dtype=np.float64)
    defined = ~np.isnan(array)
    if not defined.any():
        return Estimate(), 0
    kept = replicates[:, defined]
    if np.isnan(kept).all(axis=0).any():
        return Estimate(float(array[defined].mean())), int(defined.sum())
    return estimate(float(array[defined].mean()), row_means(kept)), int(defined.sum())


def row_means(replicates: Array) -> Array:
    """The mean of what is defined in each row, ``(R,)``; NaN where nothing is."""
    known = ~np.isnan(replicates)
    totals: Array = np.where(known, replicates, 0).sum(axis=1)
    return totals / np.where(known.any(axis=1), known.sum(axis=1), math.nan)


def proportion(success: NDArray[np.bool_], among: NDArray[np.bool_], resampling: Resampling) -> Estimate:
    """The share of some images that have a property, such as sensitivity, with its interval.

    Where the share is 0 or 1 every draw repeats it; then the interval is Wilson's, with the number of patients as
    sample size.

    Args:
        success: Whether an image has the property, ``(N,)``.
        among: Whether it is one of those that count, ``(N,)``.
        resampling: Of the same images.
    """
    if not among.any():
        return Estimate()
    counted = among.astype(np.float64)
    value = float(success[among].mean())
    patients = len(np.unique(resampling.patient[among]))
    if value in (0.0, 1.0):
        return _wilson(value, patients)
    if patients < 2:
        return Estimate(value)
    totals = resampling.sums(counted)
    shares = resampling.sums((success & among).astype(np.float64)) / np.where(totals > 0, totals, math.nan)
    return estimate(value, shares)


def _wilson(value: float, size: int) -> Estimate:
    """Wilson's score interval of a share that is 0 or 1."""
    z_squared = 1.959963984540054**2
    margin = z_squared / (size + z_squared)
    return Estimate(value, 0.0, margin) if value == 0 else Estimate(value, 1 - margin, 1.0)
