"""Ranking metrics: exact AUROC and average precision, plain or weighted.

Scores are not binned. Tied scores count half in AUROC and are one threshold in average precision.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
"""Array of scores, targets, weights or rates."""


@dataclass(frozen=True)
class Ranking:
    """Order of the images of one label, from which one pass gives AUROC and average precision under any weights.

    The K distinct scores of positives divide the range of scores, from high to low, into 2K + 1 segments: segment
    ``2k + 1`` holds the negatives with the k-th score, the even segments hold those between two scores.

    Attributes:
        positive_rows: Row numbers of the positives, ``(P,)``.
        negative_rows: Row numbers of the negatives, ``(Q,)``.
        num_thresholds: Number of distinct scores of positives, K.
        positive_threshold: Index of each positive's score, ``(P,)`` in [0, K), from high to low.
        negative_segment: Index of each negative's segment, ``(Q,)`` in [0, 2K].
    """

    positive_rows: NDArray[np.intp]
    negative_rows: NDArray[np.intp]
    num_thresholds: int
    positive_threshold: NDArray[np.intp]
    negative_segment: NDArray[np.intp]

    @property
    def defined(self) -> bool:
        """Whether there are positives and negatives."""
        return len(self.positive_rows) > 0 and len(self.negative_rows) > 0

    def score(self, weights: FloatArray | None = None) -> tuple[float, float]:
        """Compute AUROC and average precision.

        Args:
            weights: Weight of each row, ``(N,)``; ones by default.

        Returns:
            AUROC and average precision, both NaN if the positives or the negatives have no weight.
        """
        if not self.defined:
            return math.nan, math.nan
        positive_weights = None if weights is None else weights[self.positive_rows]
        negative_weights = None if weights is None else weights[self.negative_rows]
        positive = np.bincount(self.positive_threshold, positive_weights, minlength=self.num_thresholds).astype(
            np.float64
        )
        negative = np.bincount(self.negative_segment, negative_weights, minlength=2 * self.num_thresholds + 1).astype(
            np.float64
        )
        total_positive, total_negative = float(positive.sum()), float(negative.sum())
        if total_positive == 0 or total_negative == 0:
            return math.nan, math.nan
        tied = negative[1::2]
        above = np.cumsum(negative)[1::2] - tied / 2  # negatives with a higher score, ties half
        true_positives = np.cumsum(positive)
        auroc = 1 - float(positive @ above) / (total_positive * total_negative)
        weighted = positive > 0
        precision = true_positives[weighted] / (true_positives + above + tied / 2)[weighted]
        return auroc, float(positive[weighted] @ precision) / total_positive


def scored_rows(scores: FloatArray, targets: FloatArray) -> NDArray[np.bool_]:
    """Whether each image has a score and a known target, ``(N,)``.

    Args:
        scores: ``(N,)``; NaN where undefined.
        targets: ``(N,)``; 1, 0 or NaN (unknown).
    """
    scored: NDArray[np.bool_] = ~(np.isnan(scores) | np.isnan(targets))
    return scored


def rank_by_score(scores: FloatArray, targets: FloatArray) -> Ranking:
    """Order the images of one label by their scores.

    Args:
        scores: ``(N,)``, higher for positive; NaN (undefined) is excluded.
        targets: ``(N,)``; 1, 0 or NaN (unknown, excluded).
    """
    known = scored_rows(scores, targets)
    positives, negatives = np.flatnonzero(known & (targets == 1)), np.flatnonzero(known & (targets == 0))
    distinct, threshold = np.unique(-scores[positives], return_inverse=True)
    value = -scores[negatives]
    segment = np.searchsorted(distinct, value, side="left") + np.searchsorted(distinct, value, side="right")
    return Ranking(positives, negatives, len(distinct), threshold, segment)


def auroc(scores: FloatArray, targets: FloatArray) -> float:
    """Area under the ROC curve: the fraction of (positive, negative) pairs in the right order, ties half.

    Args:
        scores: ``(N,)``.
        targets: ``(N,)``; 1, 0 or NaN (unknown, excluded).

    Returns:
        In [0, 1]; NaN without a positive or without a negative.

    Example:
        >>> auroc(np.array([0.8, 0.4, 0.6, 0.4, 0.2]), np.array([1.0, 1, 0, 0, 0]))
        0.75
    """
    return rank_by_score(scores, targets).score()[0]


def average_precision(scores: FloatArray, targets: FloatArray) -> float:
    """Average precision: mean of the precision at each threshold, weighted by the recall that it adds.

    Args:
        scores: ``(N,)``.
        targets: ``(N,)``; 1, 0 or NaN (unknown, excluded).

    Returns:
        In [0, 1]; NaN without a positive, and without a negative (when it is 1 for any scores).

    Example:
        >>> round(average_precision(np.array([0.8, 0.4, 0.6, 0.4, 0.2]), np.array([1.0, 1, 0, 0, 0])), 4)
        0.75
    """
    return rank_by_score(scores, targets).score()[1]


@dataclass(frozen=True)
class ThresholdCounts:
    """True and false positives at each threshold: one entry per distinct score, from high to low.

    Attributes:
        thresholds: ``(T,)``; an image is predicted positive if its score is at least this.
        true_positives: Positives that are predicted positive, ``(T,)``.
        false_positives: Negatives that are predicted positive, ``(T,)``.
        positives: Number of positives.
        negatives: Number of negatives.
    """

    thresholds: FloatArray
    true_positives: FloatArray
    false_positives: FloatArray
    positives: int
    negatives: int


def count_by_threshold(scores: FloatArray, targets: FloatArray) -> ThresholdCounts:
    """Count true and false positives at every distinct score.

    Args:
        scores: ``(N,)``; NaN (undefined) is excluded.
        targets: ``(N,)``; 1, 0 or NaN (unknown, excluded).
    """
    known = scored_rows(scores, targets)
    thresholds, threshold_index = np.unique(-scores[known], return_inverse=True)
    true_positives: FloatArray = np.cumsum(np.bincount(threshold_index, targets[known], minlength=len(thresholds)))
    total: FloatArray = np.cumsum(np.bincount(threshold_index, minlength=len(thresholds))).astype(np.float64)
    positives = int(targets[known].sum())
    return ThresholdCounts(-thresholds, true_positives, total - true_positives, positives, int(known.sum()) - positives)


def macro_mean(values: Iterable[float]) -> tuple[float, int]:
    """Mean over defined values and their number; NaN and 0 if there are none.

    Example:
        >>> macro_mean([0.8, float("nan"), 0.6])
        (0.7, 2)
    """
    defined = [value for value in values if not math.isnan(value)]
    return (math.fsum(defined) / len(defined) if defined else math.nan), len(defined)


def top_labels(auroc: Mapping[str, float], count: int | None = None) -> tuple[str, ...]:
    """The labels with the highest AUROC, best first; a label whose AUROC is undefined is never among them.

    Args:
        auroc: AUROC by label, NaN where undefined.
        count: Maximum number of labels; all by default.

    Example:
        >>> top_labels({"Mass": 0.7, "Edema": 0.9, "Hernia": float("nan")})
        ('Edema', 'Mass')
    """
    defined = [label for label, value in auroc.items() if not math.isnan(value)]
    return tuple(sorted(defined, key=lambda label: -auroc[label])[:count])
