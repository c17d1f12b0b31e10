"""metrics.csv: an evaluation's numbers, for spreadsheets. An undefined number is n/a."""

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from cxr_lightning.evaluation.label_result import LabelResult, OperatingPoint
from cxr_lightning.evaluation.results import Evaluation
from cxr_lightning.metrics.bootstrap import Estimate
from cxr_lightning.metrics.report_metric import ReportMetric
from cxr_lightning.utils.io import atomic_write_text
from cxr_lightning.utils.spreadsheet import escape_formula


def write_metrics_csv(evaluation: Evaluation, path: Path) -> None:
    """Write metrics.csv: a row for each finding, then the row ``mean``.

    Columns named ``..._labels`` hold 1 for a finding that the mean covers, else 0, and in the last row their number.
    """
    rules = rule_names(evaluation)
    rows = [
        {"finding": escape_formula(result.label), **_row(result, evaluation.metrics, rules)}
        for result in evaluation.labels
    ]
    mean = {"finding": "mean"}
    for metric in evaluation.metrics:
        found = evaluation.means[metric.name]
        mean |= {**_estimate(metric, found.estimate), f"{metric.name}_labels": str(found.labels)}
    with atomic_write_text(path, errors="replace") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0] if rows else mean), restval="")
        writer.writeheader()
        writer.writerows([*rows, mean])


def rule_names(evaluation: Evaluation) -> tuple[str, ...]:
    """Names of the operating points that any finding has, in order."""
    points = (point for result in evaluation.labels for point in result.operating_points or ())
    return tuple(dict.fromkeys(point.name for point in points))


def operating_point(result: LabelResult, rule: str) -> OperatingPoint | None:
    """The finding's operating point with this name; None if it has none."""
    return next((point for point in result.operating_points or () if point.name == rule), None)


def _row(result: LabelResult, metrics: Sequence[ReportMetric], rules: Iterable[str]) -> dict[str, str]:
    """Cells of a finding's row, after its name."""
    calibration = result.calibration
    cells = {
        "n": str(result.n),
        "positives": str(result.positives),
        "prevalence": _cell(result.prevalence),
        **{key: cell for metric in metrics for key, cell in _estimate(metric, result.metrics[metric.name]).items()},
        "calibrated_brier": _cell(calibration.brier if calibration else math.nan),
        "calibrated_ece": _cell(calibration.ece if calibration else math.nan),
    }
    for rule in rules:
        cells |= {
            escape_formula(f"{rule} {name}"): value for name, value in _point(operating_point(result, rule)).items()
        }
    values = {metric.name: result.metrics[metric.name].value for metric in metrics}
    return cells | {f"{name}_labels": str(int(not math.isnan(value))) for name, value in values.items()}


def _point(point: OperatingPoint | None) -> Mapping[str, str]:
    """Cells of an operating point; PPV and NPV are those at the prevalence in the evaluated images."""
    values = point.at[0] if point and point.at else None
    return {
        "threshold": _cell(point.threshold if point else math.nan),
        "calibrated threshold": _cell(point.calibrated_threshold if point else math.nan),
        "sensitivity": _cell(point.sensitivity.value if point else math.nan),
        "specificity": _cell(point.specificity.value if point else math.nan),
        "ppv": _cell(values.ppv if values else math.nan),
        "npv": _cell(values.npv if values else math.nan),
    }


def _estimate(metric: ReportMetric, estimate: Estimate) -> dict[str, str]:
    """Cells of a metric: its value, and the ends of its interval where it has one."""
    ends = {"_low": estimate.low, "_high": estimate.high} if metric.interval else {}
    return {f"{metric.name}{ending}": _cell(value) for ending, value in {"": estimate.value, **ends}.items()}


def _cell(value: float) -> str:
    return "n/a" if math.isnan(value) else f"{value:.6g}"
