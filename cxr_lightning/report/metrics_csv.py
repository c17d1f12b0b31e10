"""metrics.csv: an evaluation's numbers, for spreadsheets. An undefined number is n/a."""

import math
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path

from cxr_lightning.evaluation.label_result import LabelResult, OperatingPoint
from cxr_lightning.evaluation.results import Evaluation
from cxr_lightning.metrics.bootstrap import Estimate
from cxr_lightning.metrics.report_metric import ReportMetric
from cxr_lightning.report.formats import csv_number
from cxr_lightning.utils.csv_files import TableWriter
from cxr_lightning.utils.io import atomic_write_text

Cell = Decimal | int | str
"""A number, or a text."""


def write_metrics_csv(evaluation: Evaluation, path: Path) -> None:
    """Write metrics.csv: a row for each finding, then the row ``mean``.

    Columns named ``..._labels`` hold 1 for a finding that the mean covers, else 0, and in the last row their number.
    """
    rules = rule_names(evaluation)
    rows = [{"finding": result.label, **_row(result, evaluation.metrics, rules)} for result in evaluation.labels]
    mean: dict[str, Cell] = {"finding": "mean"}
    for metric in evaluation.metrics:
        found = evaluation.means[metric.name]
        mean |= {**_estimate(metric, found.estimate), f"{metric.name}_labels": found.labels}
    names = list(rows[0] if rows else mean)
    with atomic_write_text(path) as file:
        TableWriter(file).writerows([names, *([row.get(name) for name in names] for row in (*rows, mean))])


def rule_names(evaluation: Evaluation) -> tuple[str, ...]:
    """Names of the operating points that any finding has, in order."""
    points = (point for result in evaluation.labels for point in result.operating_points or ())
    return tuple(dict.fromkeys(point.name for point in points))


def operating_point(result: LabelResult, rule: str) -> OperatingPoint | None:
    """The finding's operating point with this name; None if it has none."""
    return next((point for point in result.operating_points or () if point.name == rule), None)


def _row(result: LabelResult, metrics: Sequence[ReportMetric], rules: Iterable[str]) -> dict[str, Cell]:
    """Cells of a finding's row, after its name."""
    calibration = result.calibration
    cells: dict[str, Cell] = {
        "n": result.n,
        "positives": result.positives,
        "prevalence": csv_number(result.prevalence),
        **{key: cell for metric in metrics for key, cell in _estimate(metric, result.metrics[metric.name]).items()},
        "calibrated_brier": csv_number(calibration.brier if calibration else math.nan),
        "calibrated_ece": csv_number(calibration.ece if calibration else math.nan),
    }
    for rule in rules:
        cells |= {f"{rule} {name}": value for name, value in _point(operating_point(result, rule)).items()}
    values = {metric.name: result.metrics[metric.name].value for metric in metrics}
    return cells | {f"{name}_labels": int(not math.isnan(value)) for name, value in values.items()}


def _point(point: OperatingPoint | None) -> Mapping[str, Cell]:
    """Cells of an operating point; PPV and NPV are those at the prevalence in the evaluated images."""
    values = point.at[0] if point and point.at else None
    return {
        "threshold": csv_number(point.threshold if point else math.nan),
        "calibrated threshold": csv_number(point.calibrated_threshold if point else math.nan),
        "sensitivity": csv_number(point.sensitivity.value if point else math.nan),
        "specificity": csv_number(point.specificity.value if point else math.nan),
        "ppv": csv_number(values.ppv if values else math.nan),
        "npv": csv_number(values.npv if values else math.nan),
    }


def _estimate(metric: ReportMetric, estimate: Estimate) -> dict[str, Cell]:
    """Cells of a metric: its value, and the ends of its interval where it has one."""
    ends = {"_low": estimate.low, "_high": estimate.high} if metric.interval else {}
    return {f"{metric.name}{ending}": csv_number(value) for ending, value in {"": estimate.value, **ends}.items()}
