"""Operating points: the threshold at which a score would be acted on, and what follows from it."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cxr_lightning.metrics.ranking import Array, count_by_threshold

_RULE = re.compile(r"(youden|f1)|(sensitivity|specificity)@(0?\.\d+|1(?:\.0*)?)")


@dataclass(frozen=True)
class Rule:
    """How a threshold is chosen.

    Attributes:
        name: As it was given, such as ``sensitivity@0.95``.
        kind: ``youden``, ``f1``, ``sensitivity`` or ``specificity``.
        wished: The sensitivity or specificity to reach, in (0, 1].
    """

    name: str
    kind: str
    wished: float = math.nan


def parse_rules(names: Sequence[str]) -> tuple[Rule, ...]:
    """Rules by name.

    Args:
        names: Such as ``["youden", "f1", "sensitivity@0.95", "specificity@0.9"]``.

    Raises:
        ValueError: If a name is none, or is given twice.

    Example:
        >>> parse_rules(["sensitivity@0.95"])
        (Rule(name='sensitivity@0.95', kind='sensitivity', wished=0.95),)
    """
    rules = []
    for name in names:
        match = _RULE.fullmatch(name)
        if not match or (match[3] and not 0 < float(match[3]) <= 1):
            raise ValueError(
                f"Expected `operating_points` among youden, f1, sensitivity@X and specificity@X with X in (0, 1] "
                f"but got {name!r}. Such as 'operating_points=[youden,sensitivity@0.95]'."
            )
        rules.append(Rule(name, match[1] or match[2], float(match[3]) if match[3] else math.nan))
    if len(set(names)) != len(names):
        raise ValueError(f"Expected every operating point once but got {list(names)}. Remove the repeated one.")
    return tuple(rules)


def select_threshold(rule: Rule, scores: Array, targets: Array) -> float:
    """The threshold that fulfils a rule; an image is called positive if its score is at least this.

    ``youden`` maximises sensitivity + specificity - 1 and ``f1`` the F1 score, both with the highest such threshold;
    ``sensitivity@X`` is the highest threshold with at least that sensitivity, ``specificity@X`` the lowest with at
    least that specificity (just above all scores, where ties allow no other).

    Args:
        rule: From :func:`parse_rules`.
        scores: Validation, ``(N,)``.
        targets: ``(N,)``; 1, 0 or NaN (unknown, left out).

    Returns:
        NaN without a positive or without a negative.

    References:
        Youden, "Index for rating diagnostic tests", Cancer 1950.
    """
    counts = count_by_threshold(scores, targets)
    if not (counts.positives and counts.negatives):
        return math.nan
    sensitivity, false_rate = counts.true / counts.positives, counts.false / counts.negatives
    if rule.kind == "sensitivity":
        return float(counts.thresholds[np.argmax(sensitivity >= rule.wished - 1e-12)])
    if rule.kind == "specificity":
        reached = np.flatnonzero(1 - false_rate >= rule.wished - 1e-12)
        return float(counts.thresholds[reached[-1]] if len(reached) else np.nextafter(counts.thresholds[0], np.inf))
    f1 = 2 * counts.true / (counts.true + counts.false + counts.positives)
    return float(counts.thresholds[np.argmax(sensitivity - false_rate if rule.kind == "youden" else f1)])


@dataclass(frozen=True)
class Confusion:
    """How many images are called what, at one threshold; unknown targets are left out."""

    true_positives: int
    false_positives: int
    true_negatives: int
    false_negatives: int


def confusion(scores: Array, targets: Array, threshold: float) -> Confusion:
    """Count the images that are called positive, and rightly so.

    Args:
        scores: ``(N,)``.
        targets: ``(N,)``; 1, 0 or NaN (unknown, left out).
        threshold: Called positive from here on.
    """
    called, positive, negative = scores >= threshold, targets == 1, targets == 0
    return Confusion(
        int((called & positive).sum()),
        int((called & negative).sum()),
        int((~called & negative).sum()),
        int((~called & positive).sum()),
    )


@dataclass(frozen=True)
class AtPrevalence:
    """What a test of some sensitivity and specificity means where the finding is so frequent.

    Attributes:
        prevalence: Share of images with the finding.
        ppv: Share of alerts that are right.
        npv: Share of images without an alert that are without the finding.
        alerts_per_1000: Of a thousand images.
    """

    prevalence: float
    ppv: float
    npv: float
    alerts_per_1000: float


def at_prevalence(sensitivity: float, specificity: float, prevalence: float) -> AtPrevalence:
    """Bayes' rule.

    Returns:
        NaN where nothing is called positive (PPV) or negative (NPV), or a rate is undefined.

    Example:
        >>> found = at_prevalence(0.9, 0.8, 0.1)
        >>> round(found.ppv, 4), round(found.npv, 4), round(found.alerts_per_1000, 1)
        (0.3333, 0.9863, 270.0)
    """
    hits, false_alerts = sensitivity * prevalence, (1 - specificity) * (1 - prevalence)
    cleared, missed = specificity * (1 - prevalence), (1 - sensitivity) * prevalence
    alerts, rest = hits + false_alerts, cleared + missed
    return AtPrevalence(
        prevalence,
        hits / alerts if alerts > 0 else math.nan,
        cleared / rest if rest > 0 else math.nan,
        1000 * alerts,
    )
