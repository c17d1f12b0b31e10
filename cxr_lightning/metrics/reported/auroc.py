"""Area under the ROC curve."""

from cxr_lightning.metrics.ranking import auroc
from cxr_lightning.metrics.report_metric import ReportMetric

METRIC = ReportMetric(
    name="auroc",
    title="AUROC",
    function=auroc,
    meaning="Area under the ROC curve: the fraction of (positive, negative) pairs in the right order, ties half.",
    interval=True,
)
