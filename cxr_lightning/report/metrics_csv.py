"""metrics.csv: an evaluation's numbers, for spreadsheets. An undefined number is n/a."""

import csv
import math
from collections.abc import Iterable, Mapping
from pathlib import Path

from cxr_lightning.evaluation.results import Evaluation, LabelResult, MeanEstimate, OperatingPoint
from cxr_lightning.metrics.bootstrap import Estimate
from cxr_lightning.utils.io import atomic_write_text
from cxr_lightning.utils.spreadsheet import escape_formula

_MEANS = ("auroc", "average_precision", "brier", "ece")


def write_metrics_csv(evaluation: Evaluation, path: Path) -> None:
    """Write metrics.csv: a row for each finding, then the row ``mean``.

    Columns named ``..._labels`` hold 1 for a finding that the mean covers, else 0, and in the last row their number.
    """
    rules = rule_names(evaluation)
    rows = [{"finding": escape_formula(result.label), **_row(result, rules)} for result in evaluation.labels]
    mean = {"finding": "mean", **{key: value for name in _MEANS for key, value in _mean(evaluation, name).items()}}
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


def _row(result: LabelResult, rules: Iterable[str]) -> dict[str, str]:
    """Cells of a finding's row, after its name."""
    calibration = result.calibration
    cells = {
        "n": str(result.n),
        "positives": str(result.positives),
        "prevalence": _cell(result.prevalence),
        **_estimate("auroc", result.auroc),
        **_estimate("average_precision", result.average_precision),
        "brier": _cell(result.brier),
        "ece": _cell(result.ece),
        "calibrated_brier": _cell(calibration.brier if calibration else math.nan),
        "calibrated_ece": _cell(calibration.ece if calibration else math.nan),
    }
    for rule in rules:
        cells |= {
            escape_formula(f"{rule} {name}"): value for name, value in _point(operating_point(result, rule)).items()
        }
    by_metric = {"auroc": result.auroc.value, "average_precision": result.average_precision.value}
    by_metric |= {"brier": result.brier, "ece": result.ece}
    return cells | {f"{name}_labels": str(int(not math.isnan(value))) for name, value in by_metric.items()}


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


def _mean(evaluation: Evaluation, name: str) -> dict[str, str]:
    mean: MeanEstimate = getattr(evaluation, name)
    values = _estimate(name, mean.estimate) if name in _MEANS[:2] else {name: _cell(mean.estimate.value)}
    return {**values, f"{name}_labels": str(mean.labels)}


def _estimate(name: str, estimate: Estimate) -> dict[str, str]:
    cells = {"": estimate.value, "_low": estimate.low, "_high": estimate.high}
    return {f"{name}{ending}": _cell(value) for ending, value in cells.items()}


def _cell(value: float) -> str:
    return "n/a" if math.isnan(value) else f"{value:.6g}"
