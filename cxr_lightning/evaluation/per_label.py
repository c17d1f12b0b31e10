"""Metrics of each label, and their means over labels."""

import math
from collections.abc import Sequence

import numpy as np

from cxr_lightning.evaluation.label_result import CalibrationResult, Curve, LabelResult, OperatingPoint
from cxr_lightning.evaluation.results import MeanEstimate
from cxr_lightning.inference.predictions import Predictions
from cxr_lightning.metrics.bootstrap import (
    Estimate,
    Resampling,
    estimate,
    mean_estimate,
    proportion,
)
from cxr_lightning.metrics.calibration import Calibrator, brier, expected_calibration_error, reliability_curve
from cxr_lightning.metrics.metric_bootstrap import bootstrap_metrics
from cxr_lightning.metrics.operating_points import confusion, predictive_values
from cxr_lightning.metrics.ranking import FloatArray, Ranking, count_by_threshold, macro_mean, rank_by_score
from cxr_lightning.metrics.report_metric import ReportMetric
from cxr_lightning.models.postprocess import PostProcessing


def rank_labels(predictions: Predictions) -> list[Ranking]:
    """Rank the images by their probability of each label."""
    pairs = zip(predictions.probabilities.T, predictions.targets.T, strict=True)
    return [rank_by_score(scores, truth) for scores, truth in pairs]


def score_labels(
    predictions: Predictions,
    metrics: Sequence[ReportMetric],
    resampling: Resampling,
    postprocessing: PostProcessing | None,
    prevalences: Sequence[float],
) -> tuple[tuple[LabelResult, ...], dict[str, MeanEstimate]]:
    """Compute the metrics of each label, and their means over labels.

    Args:
        predictions: Predictions of the evaluated images, calibrated if there is post-processing.
        metrics: The metrics of the report.
        resampling: Bootstrap draws of their patients.
        postprocessing: Calibration and thresholds that were fitted on other images; None if there are none.
        prevalences: Requested prevalences for PPV, NPV and alerts, in addition to the evaluated images'.
    """
    scored = {metric.name: _score_metric(metric, predictions) for metric in metrics}
    replicates = bootstrap_metrics(
        metrics, predictions.labels, predictions.probabilities, predictions.targets, resampling
    )
    results = []
    for column, label in enumerate(predictions.labels):
        probabilities, targets = predictions.probabilities[:, column], predictions.targets[:, column]
        roc, precision_recall = _curves(probabilities, targets)
        results.append(
            LabelResult(
                label,
                n=int((~np.isnan(targets)).sum()),
                positives=int((targets == 1).sum()),
                metrics={
                    name: estimate(values[column], replicates[name][:, column])
                    if name in replicates
                    else Estimate(values[column])
                    for name, values in scored.items()
                },
                roc=roc,
                precision_recall=precision_recall,
                reliability=reliability_curve(probabilities, targets),
                calibration=None
                if postprocessing is None or label not in postprocessing.calibrators
                else _calibration(postprocessing.calibrators[label], predictions, column),
                operating_points=None
                if postprocessing is None or label not in postprocessing.thresholds
                else _operating_points(postprocessing, label, probabilities, targets, resampling, prevalences),
            )
        )
    means = {
        name: MeanEstimate(*mean_estimate(values, replicates[name]))
        if name in replicates
        else mean_without_interval(values)
        for name, values in scored.items()
    }
    return tuple(results), means


def _score_metric(metric: ReportMetric, predictions: Predictions) -> list[float]:
    columns = zip(predictions.labels, predictions.probabilities.T, predictions.targets.T, strict=True)
    return [metric.value(label, probabilities, targets) for label, probabilities, targets in columns]


def mean_without_interval(values: Sequence[float]) -> MeanEstimate:
    """Mean over the labels with a defined value, without an interval."""
    mean, defined = macro_mean(values)
    return MeanEstimate(Estimate(mean), defined)


def _curves(probabilities: FloatArray, targets: FloatArray) -> tuple[Curve, Curve]:
    """ROC and precision-recall curve; both are empty if there are no positives or no negatives."""
    counts = count_by_threshold(probabilities, targets)
    if not (counts.positives and counts.negatives):
        empty = Curve(np.empty(0), np.empty(0))
        return empty, empty
    recall = counts.true_positives / counts.positives
    return (
        Curve(np.append(0, counts.false_positives / counts.negatives), np.append(0, recall)),
        Curve(recall, counts.true_positives / (counts.true_positives + counts.false_positives)),
    )


def _calibration(calibrator: Calibrator, predictions: Predictions, column: int) -> CalibrationResult:
    assert predictions.calibrated is not None
    calibrated, targets = predictions.calibrated[:, column], predictions.targets[:, column]
    return CalibrationResult(
        calibrator,
        brier(calibrated, targets),
        expected_calibration_error(calibrated, targets),
        reliability_curve(calibrated, targets),
    )


def _operating_points(
    postprocessing: PostProcessing,
    label: str,
    probabilities: FloatArray,
    targets: FloatArray,
    resampling: Resampling,
    prevalences: Sequence[float],
) -> tuple[OperatingPoint, ...]:
    positive, negative = targets == 1, targets == 0
    known = positive.sum() + negative.sum()
    prevalence = float(positive.sum() / known) if known else math.nan
    points = []
    for name, threshold in postprocessing.thresholds[label].items():
        if math.isnan(threshold):
            continue
        predicted = probabilities >= threshold
        sensitivity = proportion(predicted, positive, resampling)
        specificity = proportion(~predicted, negative, resampling)
        points.append(
            OperatingPoint(
                name,
                threshold,
                float(postprocessing.calibrators[label](np.array([min(threshold, 1.0)]))[0]),
                confusion(probabilities, targets, threshold),
                sensitivity,
                specificity,
                tuple(
                    predictive_values(sensitivity.value, specificity.value, value)
                    for value in (prevalence, *prevalences)
                ),
            )
        )
    return tuple(points)
