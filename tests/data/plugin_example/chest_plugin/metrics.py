"""A metric of the report: one registered object."""

import math

from cxr_lightning.metrics.ranking import FloatArray
from cxr_lightning.metrics.report_metric import ReportMetric, register_metric


def mean_gap(probabilities: FloatArray, targets: FloatArray) -> float:
    """Mean probability of the positives less that of the negatives.

    Args:
        probabilities: ``(N,)`` in [0, 1].
        targets: ``(N,)``; 1, 0 or NaN (unknown).

    Returns:
        In [-1, 1]; NaN without a positive or without a negative.

    Example:
        >>> mean_gap(np.array([0.75, 0.25, 0.5]), np.array([1.0, 0.0, 0.0]))
        0.375
    """
    positives, negatives = probabilities[targets == 1], probabilities[targets == 0]
    return float(positives.mean() - negatives.mean()) if len(positives) and len(negatives) else math.nan


DISCRIMINATION_SLOPE = register_metric(
    ReportMetric(
        name="discrimination_slope",
        title="slope",
        function=mean_gap,
        meaning="Discrimination slope: mean probability of the positives less that of the negatives.",
        higher_is_better=True,
        format="+.3f",
        interval=True,
    )
)
