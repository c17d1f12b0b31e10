"""How well scores order positives before negatives: exact AUROC and average precision, plain or weighted.

Nothing is binned. Tied scores count half in AUROC and are one threshold in average precision.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Ranking:
    """Where the images of one label stand, so that AUROC and average precision under any weights are one pass.

    The K different scores of positives cut the line of scores, from high to low, into 2K + 1 segments: segment
    ``2k + 1`` holds the negatives with the k-th score, the even ones those between.

    Attributes:
        positives: Row numbers of the positives, ``(P,)``.
        negatives: Row numbers of the negatives, ``(Q,)``.
        thresholds: Number of different scores of positives, K.
        threshold: Which score each positive has, ``(P,)`` in [0, K), from high to low.
        segment: Where each negative stands, ``(Q,)`` in [0, 2K].
    """

    positives: NDArray[np.intp]
    negatives: NDArray[np.intp]
    thresholds: int
    threshold: NDArray[np.intp]
    segment: NDArray[np.intp]

    @property
    def defined(self) -> bool:
        """Whether there are positives and negatives."""
        return len(self.positives) > 0 and len(self.negatives) > 0

    def score(self, weights: Array | None = None) -> tuple[float, float]:
        """AUROC and average precision.

        Args:
            weights: How often each row counts, ``(N,)``; once if not given.

        Returns:
            Both NaN if the positives or the negatives have no weight.
        """
        if not self.defined:
            return math.nan, math.nan
        of_positives = None if weights is None else weights[self.positives]
        of_negatives = None if weights is None else weights[self.negatives]
        positive = np.bincount(self.threshold, of_positives, minlength=self.thresholds).astype(np.float64)
        negative = np.bincount(self.segment, of_negatives, minlength=2 * self.thresholds + 1).astype(np.float64)
        true, false = float(positive.sum()), float(negative.sum())
        if true == 0 or false == 0:
            return math.nan, math.nan
        tied = negative[1::2]
        above = np.cumsum(negative)[1::2] - tied / 2  # negatives with a higher score, ties half
        caught = np.cumsum(positive)
        auroc = 1 - float(positive @ above) / (true * false)
        counted = positive > 0
        precision = caught[counted] / (caught + above + tied / 2)[counted]
        return auroc, float(positive[counted] @ precision) / true


def rank(scores: Array, targets: Array) -> Ranking:
    """Order one label's images.

    Args:
        scores: ``(N,)``, higher for positive.
        targets: ``(N,)``; 1, 0 or NaN (unknown, left out).
    """
    positives, negatives = np.flatnonzero(targets == 1), np.flatnonzero(targets == 0)
    cuts, place = np.unique(-scores[positives], return_inverse=True)
    value = -scores[negatives]
    segment = np.searchsorted(cuts, value, side="left") + np.searchsorted(cuts, value, side="right")
    return Ranking(positives, negatives, len(cuts), place, segment)


def auroc(scores: Array, targets: Array) -> float:
    """Area under the ROC curve: the share of (positive, negative) pairs in the right order, ties half.

    Args:
        scores: ``(N,)``.
        targets: ``(N,)``; 1, 0 or NaN (unknown, left out).

    Returns:
        In [0, 1]; NaN without a positive or without a negative.

    Example:
        >>> auroc(np.array([0.8, 0.4, 0.6, 0.4, 0.2]), np.array([1.0, 1, 0, 0, 0]))
        0.75
    """
    return rank(scores, targets).score()[0]


def average_precision(scores: Array, targets: Array) -> float:
    """Mean of the precision at each threshold, weighted by the recall that it adds.

    Args:
        scores: ``(N,)``.
        targets: ``(N,)``; 1, 0 or NaN (unknown, left out).

    Returns:
        In [0, 1]; NaN without a positive, and without a negative (when it is 1 for any scores).

    Example:
        >>> round(average_precision(np.array([0.8, 0.4, 0.6, 0.4, 0.2]), np.array([1.0, 1, 0, 0, 0])), 4)
        0.75
    """
    return rank(scores, targets).score()[1]


@dataclass(frozen=True)
class Counts:
    """What each threshold would call positive: one entry per different score, from high to low.

    Attributes:
        thresholds: ``(T,)``; an image is called positive if its score is at least this.
        true: Positives called positive, ``(T,)``.
        false: Negatives called positive, ``(T,)``.
        positives: Number of positives.
        negatives: Number of negatives.
    """

    thresholds: Array
    true: Array
    false: Array
    positives: int
    negatives: int


def count_by_threshold(scores: Array, targets: Array) -> Counts:
    """True and false positives at every different score.

    Args:
        scores: ``(N,)``.
        targets: ``(N,)``; 1, 0 or NaN (unknown, left out).
    """
    known = ~np.isnan(targets)
    thresholds, place = np.unique(-scores[known], return_inverse=True)
    true: Array = np.cumsum(np.bincount(place, targets[known], minlength=len(thresholds)))
    total: Array = np.cumsum(np.bincount(place, minlength=len(thresholds))).astype(np.float64)
    positives = int(targets[known].sum())
    return Counts(-thresholds, true, total - true, positives, int(known.sum()) - positives)


def macro(values: Iterable[float]) -> tuple[float, int]:
    """The mean over defined values, and how many they are; NaN if there are none.

    Example:
        >>> macro([0.8, float("nan"), 0.6])
        (0.7, 2)
    """
    defined = [value for value in values if not math.isnan(value)]
    return (math.fsum(defined) / len(defined) if defined else math.nan), len(defined)
