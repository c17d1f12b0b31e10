"""The metrics of the report, a module each: what :func:`cxr_lightning.metrics.report_metric.report_metrics` finds."""
