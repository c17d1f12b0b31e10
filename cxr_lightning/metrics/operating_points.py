"""Operating points: selection of a threshold, and the rates and predictive values that follow from it."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cxr_lightning.metrics.ranking import FloatArray, count_by_threshold

_RULE = re.compile(r"(youden|f1)|(sensitivity|specificity)@(0?\.\d+|1(?:\.0*)?)")


@dataclass(frozen=True)
class ThresholdRule:
    """Criterion by which a threshold is selected.

    Attributes:
        name: Name in the configuration, such as ``sensitivity@0.95``.
        kind: ``youden``, ``f1``, ``sensitivity`` or ``specificity``.
        required: Sensitivity or specificity to reach, in (0, 1]; NaN for other kinds.
    """

    name: str
    kind: str
    required: float = math.nan


def parse_rules(names: Sequence[str]) -> tuple[ThresholdRule, ...]:
    """Parse the names of threshold rules.

    Args:
        names: Names such as ``["youden", "f1", "sensitivity@0.95", "specificity@0.9"]``.

    Raises:
        ValueError: If a name is not that of a rule, or occurs twice.

    Example:
        >>> parse_rules(["sensitivity@0.95"])
        (ThresholdRule(name='sensitivity@0.95', kind='sensitivity', required=0.95),)
    """
    rules = []
    for name in names:
        match = _RULE.fullmatch(name)
        if not match or (match[3] and not 0 < float(match[3]) <= 1):
            raise ValueError(
                f"Expected `operating_points` among youden, f1, sensitivity@X and specificity@X with X in (0, 1] "
                f"but got {name!r}. Set, for example, 'operating_points=[youden,sensitivity@0.95]'."
            )
        rules.append(ThresholdRule(name, match[1] or match[2], float(match[3]) if match[3] else math.nan))
    if len(set(names)) != len(names):
        raise ValueError(f"Expected every operating point once but got {list(names)}. Remove the repeated one.")
    return tuple(rules)


def select_threshold(rule: ThresholdRule, scores: FloatArray, targets: FloatArray) -> float:
    """Select the threshold that fulfills a rule; an image is predicted positive if its score is at least this.

    ``youden`` maximizes sensitivity + specificity - 1 and ``f1`` the F1 score, both with the highest such threshold;
    ``sensitivity@X`` is the highest threshold with at least that sensitivity, ``specificity@X`` the lowest with at
    least that specificity (just above all scores, where ties allow no other).

    Args:
        rule: Rule from :func:`parse_rules`.
        scores: Scores of the validation images, ``(N,)``.
        targets: ``(N,)``; 1, 0 or NaN (unknown, excluded).

    Returns:
        NaN without a positive or without a negative.

    References:
        Youden, "Index for rating diagnostic tests", Cancer 1950.
    """
    counts = count_by_threshold(scores, targets)
    if not (counts.positives and counts.negatives):
        return math.nan
    sensitivity, false_positive_rate = (
        counts.true_positives / counts.positives,
        counts.false_positives / counts.negatives,
    )
    if rule.kind == "sensitivity":
        return float(counts.thresholds[np.argmax(sensitivity >= rule.required - 1e-12)])
    if rule.kind == "specificity":
        reached = np.flatnonzero(1 - false_positive_rate >= rule.required - 1e-12)
        return float(counts.thresholds[reached[-1]] if len(reached) else np.nextafter(counts.thresholds[0], np.inf))
    f1 = 2 * counts.true_positives / (counts.true_positives + counts.false_positives + counts.positives)
    return float(counts.thresholds[np.argmax(sensitivity - false_positive_rate if rule.kind == "youden" else f1)])


@dataclass(frozen=True)
class Confusion:
    """Numbers of true and false predictions at one threshold; unknown targets are excluded."""

    true_positives: int
    false_positives: int
    true_negatives: int
    false_negatives: int


def confusion(scores: FloatArray, targets: FloatArray, threshold: float) -> Confusion:
    """Count the true and false predictions at a threshold.

    Args:
        scores: ``(N,)``.
        targets: ``(N,)``; 1, 0 or NaN (unknown, excluded).
        threshold: Score from which an image is predicted positive.
    """
    predicted, positive, negative = scores >= threshold, targets == 1, targets == 0
    return Confusion(
        int((predicted & positive).sum()),
        int((predicted & negative).sum()),
        int((~predicted & negative).sum()),
        int((~predicted & positive).sum()),
    )


@dataclass(frozen=True)
class PredictiveValues:
    """Predictive values of a test in a population of some prevalence.

    Attributes:
        prevalence: Fraction of images with the finding.
        ppv: Fraction of alerts whose image has the finding.
        npv: Fraction of images without an alert that lack the finding.
        alerts_per_1000: Number of alerts in a thousand images.
    """

    prevalence: float
    ppv: float
    npv: float
    alerts_per_1000: float


def predictive_values(sensitivity: float, specificity: float, prevalence: float) -> PredictiveValues:
    """Compute predictive values from sensitivity, specificity and prevalence by Bayes' rule.

    Returns:
        PPV is NaN where nothing is predicted positive, NPV where nothing is predicted negative, and both where a rate
        is undefined.

    Example:
        >>> values = predictive_values(0.9, 0.8, 0.1)
        >>> round(values.ppv, 4), round(values.npv, 4), round(values.alerts_per_1000, 1)
        (0.3333, 0.9863, 270.0)
    """
    true_alerts, false_alerts = sensitivity * prevalence, (1 - specificity) * (1 - prevalence)
    cleared, missed = specificity * (1 - prevalence), (1 - sensitivity) * prevalence
    alerts, no_alerts = true_alerts + false_alerts, cleared + missed
    return PredictiveValues(
        prevalence,
        true_alerts / alerts if alerts > 0 else math.nan,
        cleared / no_alerts if no_alerts > 0 else math.nan,
        1000 * alerts,
    )
