"""metrics.csv: an evaluation's numbers for people with a spreadsheet. An undefined number is n/a."""

import csv
import math
from collections.abc import Iterable, Mapping
from pathlib import Path

from cxr_lightning.evaluation.results import Evaluation, LabelResult, Mean, OperatingPoint
from cxr_lightning.metrics.resampling import Estimate
from cxr_lightning.utils.io import atomic_write_text

_MEANS = ("auroc", "average_precision", "brier", "ece")
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def write_metrics_csv(evaluation: Evaluation, path: Path) -> None:
    """Write metrics.csv: a row for each finding, then the row ``mean``.

    Columns named ``..._labels`` say whether a finding counts in that mean, and in the last row how many do.

    Args:
        evaluation: To write.
        path: File to write.
    """
    rules = rule_names(evaluation)
    rows = [{"finding": escaped(result.label), **_row(result, rules)} for result in evaluation.labels]
    mean = {"finding": "mean", **{key: value for name in _MEANS for key, value in _mean(evaluation, name).items()}}
    with atomic_write_text(path, errors="replace") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0] if rows else mean), restval="")
        writer.writeheader()
        writer.writerows([*rows, mean])


def rule_names(evaluation: Evaluation) -> tuple[str, ...]:
    """Names of the operating points of any finding, in order."""
    points = (point for result in evaluation.labels for point in result.operating_points or ())
    return tuple(dict.fromkeys(point.name for point in points))


def operating_point(result: LabelResult, rule: str) -> OperatingPoint | None:
    """A finding's operating point by its rule's name; None if it has none."""
    return next((point for point in result.operating_points or () if point.name == rule), None)


def escaped(text: str) -> str:
    """Text that a spreadsheet does not take for a formula.

    Example:
        >>> escaped("=1+1"), escaped("Mass")
        ("'=1+1", 'Mass')
    """
    return f"'{text}" if text.startswith(_FORMULA) else text


def _row(result: LabelResult, rules: Iterable[str]) -> dict[str, str]:
    """What stands beside a finding's name."""
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
        cells |= {escaped(f"{rule} {name}"): value for name, value in _point(operating_point(result, rule)).items()}
    counted = {"auroc": result.auroc.value, "average_precision": result.average_precision.value}
    counted |= {"brier": result.brier, "ece": result.ece}
    return cells | {f"{name}_labels": str(int(not math.isnan(value))) for name, value in counted.items()}


def _point(point: OperatingPoint | None) -> Mapping[str, str]:
    """Numbers of an operating point; PPV and NPV are those at the set's own prevalence."""
    own = point.at[0] if point and point.at else None
    return {
        "threshold": _cell(point.threshold if point else math.nan),
        "calibrated threshold": _cell(point.calibrated_threshold if point else math.nan),
        "sensitivity": _cell(point.sensitivity.value if point else math.nan),
        "specificity": _cell(point.specificity.value if point else math.nan),
        "ppv": _cell(own.ppv if own else math.nan),
        "npv": _cell(own.npv if own else math.nan),
    }


def _mean(evaluation: Evaluation, name: str) -> dict[str, str]:
    mean: Mean = getattr(evaluation, name)
    values = _estimate(name, mean.estimate) if name in _MEANS[:2] else {name: _cell(mean.estimate.value)}
    return {**values, f"{name}_labels": str(mean.labels)}


def _estimate(name: str, estimate: Estimate) -> dict[str, str]:
    cells = {"": estimate.value, "_low": estimate.low, "_high": estimate.high}
    return {f"{name}{ending}": _cell(value) for ending, value in cells.items()}


def _cell(value: float) -> str:
    return "n/a" if math.isnan(value) else f"{value:.6g}"
