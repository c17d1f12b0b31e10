"""Expected calibration error of raw probabilities."""

from cxr_lightning.metrics.calibration import expected_calibration_error
from cxr_lightning.metrics.report_metric import ReportMetric

METRIC = ReportMetric(
    name="ece",
    title="ECE",
    function=expected_calibration_error,
    meaning="Expected calibration error of raw probabilities, over 15 bins of equal width.",
    higher_is_better=False,
)
