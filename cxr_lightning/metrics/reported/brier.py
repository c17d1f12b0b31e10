"""Brier score of raw probabilities."""

from cxr_lightning.metrics.calibration import brier
from cxr_lightning.metrics.report_metric import ReportMetric

METRIC = ReportMetric(
    name="brier",
    title="Brier",
    function=brier,
    meaning="Brier score of raw probabilities: their mean squared difference from the targets.",
    higher_is_better=False,
)
