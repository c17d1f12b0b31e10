"""An evaluation's numbers as pandas tables, for notebooks and scripts. An undefined number is NaN."""

from collections.abc import Mapping, Sequence

import pandas as pd

from cxr_lightning.evaluation.label_result import LabelResult, OperatingPoint
from cxr_lightning.evaluation.results import Evaluation, MeanEstimate
from cxr_lightning.metrics.bootstrap import Estimate
from cxr_lightning.metrics.report_metric import ReportMetric


def findings_frame(evaluation: Evaluation) -> pd.DataFrame:
    """One row per finding: images, positives, and each metric with the ends of its interval.

    Args:
        evaluation: The evaluation to show.

    Returns:
        Indexed by ``finding``, in the order of the model's outputs.
    """
    rows = {result.label: _finding_row(result, evaluation.metrics) for result in evaluation.labels}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("finding")


def operating_points_frame(evaluation: Evaluation) -> pd.DataFrame:
    """One row per finding, operating point and prevalence; the first prevalence is that of the evaluated images.

    Args:
        evaluation: The evaluation to show.

    Returns:
        Indexed by ``finding`` and ``operating_point``; empty where nothing was fitted.
    """
    rows = [
        {"finding": result.label, "operating_point": point.name, **_operating_point_row(point), **vars(values)}
        for result in evaluation.labels
        for point in result.operating_points or ()
        for values in point.at
    ]
    frame = pd.DataFrame(rows) if rows else pd.DataFrame(columns=["finding", "operating_point"])
    return frame.set_index(["finding", "operating_point"])


def subgroups_frame(evaluation: Evaluation) -> pd.DataFrame:
    """One row per group of images: its size, mean AUROC and difference from the attribute's largest group.

    Args:
        evaluation: The evaluation to show.

    Returns:
        Indexed by ``attribute`` and ``group``.
    """
    rows = [
        {
            "attribute": group.attribute,
            "group": group.group,
            "images": group.images,
            "patients": group.patients,
            **_mean_cells("auroc", group.auroc),
            "reference": group.reference,
            **_mean_cells("difference", group.difference),
        }
        for group in evaluation.subgroups
    ]
    frame = pd.DataFrame(rows) if rows else pd.DataFrame(columns=["attribute", "group"])
    return frame.set_index(["attribute", "group"])


def _finding_row(result: LabelResult, metrics: Sequence[ReportMetric]) -> Mapping[str, float]:
    calibration = result.calibration
    return {
        "images": result.n,
        "positives": result.positives,
        "prevalence": result.prevalence,
        **{name: value for metric in metrics for name, value in _metric_cells(metric, result).items()},
        "calibrated_brier": calibration.brier if calibration else float("nan"),
        "calibrated_ece": calibration.ece if calibration else float("nan"),
    }


def _metric_cells(metric: ReportMetric, result: LabelResult) -> Mapping[str, float]:
    estimate = result.metrics[metric.name]
    return _estimate_cells(metric.name, estimate) if metric.interval else {metric.name: estimate.value}


def _operating_point_row(point: OperatingPoint) -> Mapping[str, float]:
    return {
        "threshold": point.threshold,
        "calibrated_threshold": point.calibrated_threshold,
        **vars(point.counts),
        **_estimate_cells("sensitivity", point.sensitivity),
        **_estimate_cells("specificity", point.specificity),
    }


def _mean_cells(name: str, mean: MeanEstimate) -> Mapping[str, float]:
    return {**_estimate_cells(name, mean.estimate), f"{name}_labels": mean.labels}


def _estimate_cells(name: str, estimate: Estimate) -> Mapping[str, float]:
    return {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
