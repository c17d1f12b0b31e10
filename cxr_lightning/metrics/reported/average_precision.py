"""Average precision."""

from cxr_lightning.metrics.ranking import average_precision
from cxr_lightning.metrics.report_metric import ReportMetric

METRIC = ReportMetric(
    name="average_precision",
    title="AP",
    function=average_precision,
    meaning="Average precision: the area under the precision-recall curve, by steps.",
    interval=True,
)
