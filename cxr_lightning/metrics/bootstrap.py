"""Bootstrap intervals over patients rather than images: images of one patient are not independent."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from cxr_lightning.metrics.ranking import FloatArray, Ranking

CONFIDENCE_LEVEL = 0.95
"""Confidence level of every interval."""

_MAX_COUNTS = 250_000_000  # eight bytes each


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval; NaN if undefined.

    Attributes:
        value: The number computed from all images.
        low: Lower end of the interval.
        high: Upper end of the interval.
    """

    value: float = math.nan
    low: float = math.nan
    high: float = math.nan


@dataclass(frozen=True)
class Resampling:
    """Bootstrap draws of patients.

    Attributes:
        counts: Number of times each patient is drawn, ``(R, number of patients)``; rows sum to the number of patients.
        patient_index: Column of each image's patient in ``counts``, ``(N,)``.
    """

    counts: NDArray[np.int64]
    patient_index: NDArray[np.intp]

    @property
    def num_patients(self) -> int:
        """Number of patients."""
        return int(self.counts.shape[1])

    def weights(self, replicate: int) -> FloatArray:
        """Weight of each image in one replicate: the number of times its patient is drawn, ``(N,)``."""
        weights: FloatArray = self.counts[replicate, self.patient_index].astype(np.float64)
        return weights

    def sums(self, values: FloatArray) -> FloatArray:
        """Sum of a quantity over the images of each replicate, ``(R,)``; NaN counts as zero.

        Args:
            values: One number per image, ``(N,)``.
        """
        total: FloatArray = self._matrix @ np.bincount(
            self.patient_index, np.nan_to_num(values), minlength=self.num_patients
        )
        return total

    @cached_property
    def _matrix(self) -> FloatArray:
        return self.counts.astype(np.float64)


def draw_patients(patient_ids: Sequence[str] | NDArray[np.object_], replicates: int, seed: int) -> Resampling:
    """Draw as many patients as there are, with replacement, for each replicate.

    The draws do not depend on the order of the images.

    Args:
        patient_ids: Patient of each image, ``(N,)``.
        replicates: Number of replicates, R.
        seed: Seed of the draws.

    Raises:
        ValueError: If there are no images, fewer than 2 replicates or too many, or the seed is negative.
    """
    if replicates < 2 or seed < 0 or len(patient_ids) == 0:
        raise ValueError(
            f"Expected images, at least 2 `replicates` and a `seed` of at least 0 but got {len(patient_ids)} images, "
            f"{replicates} replicates and the seed {seed}."
        )
    names, patient_index = np.unique(np.asarray(patient_ids, dtype=str), return_inverse=True)
    if len(names) * replicates > _MAX_COUNTS:
        raise ValueError(
            f"Expected at most {_MAX_COUNTS // len(names):,} `replicates` of {len(names):,} patients but got "
            f"{replicates:,}: more do not fit into memory. 1000 are usual."
        )
    probabilities = np.full(len(names), 1 / len(names))
    counts = np.random.default_rng(seed).multinomial(len(names), probabilities, size=replicates)
    return Resampling(counts, patient_index)


def bootstrap_scores(rankings: Sequence[Ranking], resampling: Resampling) -> tuple[FloatArray, FloatArray]:
    """Compute AUROC and average precision of each label in each replicate.

    Args:
        rankings: Ranking of each label.
        resampling: Draws of the patients of the same images.

    Returns:
        Two arrays ``(R, C)``; NaN where a replicate has no positive or no negative, and in the whole column of a label
        whose positives, or negatives, are all of one patient: such draws do not vary over patients.
    """
    replicates = len(resampling.counts)
    scores = np.full((2, replicates, len(rankings)), math.nan)
    columns = [column for column, ranking in enumerate(rankings) if has_two_patients_per_target(ranking, resampling)]
    for replicate in range(replicates):
        weights = resampling.weights(replicate)
        for column in columns:
            scores[:, replicate, column] = rankings[column].score(weights)
    return scores[0], scores[1]


def has_two_patients_per_target(ranking: Ranking, resampling: Resampling) -> bool:
    """Whether a label has positives of at least two patients, and negatives of at least two."""
    groups = (ranking.positive_rows, ranking.negative_rows)
    return all(len(np.unique(resampling.patient_index[rows])) > 1 for rows in groups)


def estimate(value: float, replicates: FloatArray) -> Estimate:
    """Percentile interval of a number from its bootstrap replicates.

    Args:
        value: The number computed from all images.
        replicates: The number in each replicate, ``(R,)``; NaN (undefined) is excluded.

    Example:
        >>> result = estimate(100.0, np.arange(201.0))
        >>> round(result.low, 6), round(result.high, 6)
        (5.0, 195.0)
    """
    defined = replicates[~np.isnan(replicates)]
    if math.isnan(value) or len(defined) < 2:
        return Estimate(value)
    low, high = np.quantile(defined, [(1 - CONFIDENCE_LEVEL) / 2, (1 + CONFIDENCE_LEVEL) / 2])
    return Estimate(value, float(low), float(high))


def mean_estimate(values: Sequence[float], replicates: FloatArray) -> tuple[Estimate, int]:
    """Mean over the labels with a defined value, with its interval, and the number of these labels.

    The mean of a replicate covers the labels that are defined in it. If a label has a value but is undefined in
    every replicate, the mean includes it and has no interval.

    Args:
        values: Value of each label, NaN if undefined.
        replicates: The values in each replicate, ``(R, C)``.
    """
    array = np.asarray(values, dtype=np.float64)
    defined = ~np.isnan(array)
    if not defined.any():
        return Estimate(), 0
    mean = float(array[defined].mean())  # not macro_mean: reports of version 0.1 stay equal to the last bit
    defined_replicates = replicates[:, defined]
    if np.isnan(defined_replicates).all(axis=0).any():
        return Estimate(mean), int(defined.sum())
    return estimate(mean, row_means(defined_replicates)), int(defined.sum())


def row_means(replicates: FloatArray) -> FloatArray:
    """Mean over the defined values of each row, ``(R,)``; NaN for a row without defined values."""
    defined = ~np.isnan(replicates)
    totals: FloatArray = np.where(defined, replicates, 0).sum(axis=1)
    return totals / np.where(defined.any(axis=1), defined.sum(axis=1), math.nan)


def proportion(success: NDArray[np.bool_], denominator: NDArray[np.bool_], resampling: Resampling) -> Estimate:
    """Fraction of images that have a property, such as sensitivity, with its interval.

    If the fraction is 0 or 1, it is the same in every replicate; the interval is then Wilson's, with the number of
    patients as sample size.

    Args:
        success: Whether each image has the property, ``(N,)``.
        denominator: Whether each image belongs to the denominator, ``(N,)``.
        resampling: Draws of the patients of the same images.
    """
    if not denominator.any():
        return Estimate()
    value = float(success[denominator].mean())
    patients = len(np.unique(resampling.patient_index[denominator]))
    if value in (0.0, 1.0):
        return _wilson(value, patients)
    if patients < 2:
        return Estimate(value)
    totals = resampling.sums(denominator.astype(np.float64))
    fractions = resampling.sums((success & denominator).astype(np.float64)) / np.where(totals > 0, totals, math.nan)
    return estimate(value, fractions)


def _wilson(value: float, size: int) -> Estimate:
    """Wilson score interval of a fraction that is 0 or 1."""
    z_squared = 1.959963984540054**2
    margin = z_squared / (size + z_squared)
    return Estimate(value, 0.0, margin) if value == 0 else Estimate(value, 1 - margin, 1.0)
