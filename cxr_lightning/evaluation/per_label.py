"""The numbers of each finding."""

import math
from collections.abc import Sequence

import numpy as np

from cxr_lightning.evaluation.results import CalibrationResult, Curve, LabelResult, Mean, OperatingPoint
from cxr_lightning.inference.predictions import Predictions
from cxr_lightning.metrics.calibration import brier, expected_calibration_error, reliability_curve
from cxr_lightning.metrics.operating_points import confusion, predictive_values
from cxr_lightning.metrics.ranking import FloatArray, Ranking, count_by_threshold, rank_by_score
from cxr_lightning.metrics.resampling import (
    Estimate,
    Resampling,
    bootstrap_scores,
    estimate,
    mean_estimate,
    proportion,
)
from cxr_lightning.models.postprocess import Fitted


def rank_labels(predictions: Predictions) -> list[Ranking]:
    """Each label's ranking."""
    pairs = zip(predictions.probabilities.T, predictions.targets.T, strict=True)
    return [rank_by_score(scores, truth) for scores, truth in pairs]


def score_labels(
    predictions: Predictions, resampling: Resampling, fitted: Fitted | None, prevalences: Sequence[float]
) -> tuple[tuple[LabelResult, ...], Mean, Mean]:
    """The numbers of each label, and the means of AUROC and average precision.

    Args:
        predictions: Of the evaluated images.
        resampling: Of their patients.
        fitted: Calibration and thresholds from other images; None where there are none.
        prevalences: At which PPV, NPV and alerts are wanted, beside the set's own.
    """
    rankings = rank_labels(predictions)
    scores = [ranking.score() for ranking in rankings]
    replicates = bootstrap_scores(rankings, resampling)
    results = []
    for column, label in enumerate(predictions.labels):
        probabilities, targets = predictions.probabilities[:, column], predictions.targets[:, column]
        roc, precision_recall = _curves(probabilities, targets)
        results.append(
            LabelResult(
                label,
                n=int((~np.isnan(targets)).sum()),
                positives=int((targets == 1).sum()),
                auroc=estimate(scores[column][0], replicates[0][:, column]),
                average_precision=estimate(scores[column][1], replicates[1][:, column]),
                brier=brier(probabilities, targets),
                ece=expected_calibration_error(probabilities, targets),
                roc=roc,
                precision_recall=precision_recall,
                reliability=reliability_curve(probabilities, targets),
                calibration=None
                if fitted is None or label not in fitted.calibrators
                else _calibration(fitted, label, probabilities, targets),
                operating_points=None
                if fitted is None or label not in fitted.thresholds
                else _operating_points(fitted, label, probabilities, targets, resampling, prevalences),
            )
        )
    auroc, average_precision = (
        Mean(*mean_estimate([score[kind] for score in scores], replicates[kind])) for kind in (0, 1)
    )
    return tuple(results), auroc, average_precision


def mean_without_interval(values: Sequence[float]) -> Mean:
    """The mean over defined labels."""
    defined = [value for value in values if not math.isnan(value)]
    return Mean(Estimate(math.fsum(defined) / len(defined) if defined else math.nan), len(defined))


def _curves(probabilities: FloatArray, targets: FloatArray) -> tuple[Curve, Curve]:
    """ROC and precision-recall curve; empty without a positive or without a negative."""
    counts = count_by_threshold(probabilities, targets)
    if not (counts.positives and counts.negatives):
        empty = Curve(np.empty(0), np.empty(0))
        return empty, empty
    recall = counts.true_positives / counts.positives
    return (
        Curve(np.append(0, counts.false_positives / counts.negatives), np.append(0, recall)),
        Curve(recall, counts.true_positives / (counts.true_positives + counts.false_positives)),
    )


def _calibration(fitted: Fitted, label: str, probabilities: FloatArray, targets: FloatArray) -> CalibrationResult:
    calibrator = fitted.calibrators[label]
    calibrated = calibrator(probabilities)
    return CalibrationResult(
        calibrator,
        brier(calibrated, targets),
        expected_calibration_error(calibrated, targets),
        reliability_curve(calibrated, targets),
    )


def _operating_points(
    fitted: Fitted,
    label: str,
    probabilities: FloatArray,
    targets: FloatArray,
    resampling: Resampling,
    prevalences: Sequence[float],
) -> tuple[OperatingPoint, ...]:
    positive, negative = targets == 1, targets == 0
    known = positive.sum() + negative.sum()
    own = float(positive.sum() / known) if known else math.nan
    points = []
    for name, threshold in fitted.thresholds[label].items():
        if math.isnan(threshold):
            continue
        called = probabilities >= threshold
        sensitivity = proportion(called, positive, resampling)
        specificity = proportion(~called, negative, resampling)
        points.append(
            OperatingPoint(
                name,
                threshold,
                float(fitted.calibrators[label](np.array([min(threshold, 1.0)]))[0]),
                confusion(probabilities, targets, threshold),
                sensitivity,
                specificity,
                tuple(predictive_values(sensitivity.value, specificity.value, share) for share in (own, *prevalences)),
            )
        )
    return tuple(points)
