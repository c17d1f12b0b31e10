"""Bootstrap replicates of the report's metrics."""

import math
from collections.abc import Sequence

import numpy as np

from cxr_lightning.metrics.bootstrap import Resampling, bootstrap_scores, has_two_patients_per_target
from cxr_lightning.metrics.ranking import FloatArray, Ranking, rank_by_score
from cxr_lightning.metrics.report_metric import ReportMetric

_RANKED = ("auroc", "average_precision")
"""Metrics whose replicates :func:`~cxr_lightning.metrics.bootstrap.bootstrap_scores` computes together, and faster."""


def bootstrap_metrics(
    metrics: Sequence[ReportMetric],
    labels: Sequence[str],
    probabilities: FloatArray,
    targets: FloatArray,
    resampling: Resampling,
) -> dict[str, FloatArray]:
    """Compute the metrics that have an interval in each replicate.

    Args:
        metrics: The metrics of the report.
        labels: C names, for errors.
        probabilities: ``(N, C)``.
        targets: ``(N, C)``; 1, 0 or NaN (unknown).
        resampling: Draws of the patients of these images.

    Returns:
        Replicates ``(R, C)`` by the metric's name; NaN where a replicate or a label has none.
    """
    rankings = [rank_by_score(*column) for column in zip(probabilities.T, targets.T, strict=True)]
    replicates = dict(zip(_RANKED, bootstrap_scores(rankings, resampling), strict=True))
    for metric in metrics:
        if metric.interval and metric.name not in _RANKED:
            replicates[metric.name] = _bootstrap_metric(metric, labels, probabilities, targets, rankings, resampling)
    return replicates


def _bootstrap_metric(
    metric: ReportMetric,
    labels: Sequence[str],
    probabilities: FloatArray,
    targets: FloatArray,
    rankings: Sequence[Ranking],
    resampling: Resampling,
) -> FloatArray:
    """Replicates of any metric, ``(R, C)``: its function is called with each image as often as its patient is drawn."""
    values = np.full((len(resampling.counts), len(rankings)), math.nan)
    columns = [column for column, ranking in enumerate(rankings) if has_two_patients_per_target(ranking, resampling)]
    for replicate, row in enumerate(values):
        drawn = np.repeat(np.arange(len(targets)), resampling.weights(replicate).astype(np.intp))
        for column in columns:
            row[column] = metric.value(labels[column], probabilities[drawn, column], targets[drawn, column])
    return values
