"""metrics.json: an evaluation's numbers for programs. An undefined number is null."""

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

from cxr_lightning.evaluation.results import (
    CalibrationResult,
    Control,
    Evaluation,
    LabelResult,
    Mean,
    OperatingPoint,
    Protocol,
    Published,
    Subgroup,
)
from cxr_lightning.explain.explanation import Explanation
from cxr_lightning.report.explanation_file import explanation_json
from cxr_lightning.report.plain_values import plain, plain_estimate, plain_number
from cxr_lightning.report.tables import NOT_FOR_CLINICAL_USE
from cxr_lightning.utils.io import atomic_write_text

FORMAT = 1
"""Raised when a key changes its meaning or goes; the schema says which it describes."""


def metrics_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) that every metrics.json fulfils."""
    text = files("cxr_lightning.report").joinpath("metrics.schema.json").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


def write_metrics_json(evaluation: Evaluation, path: Path, explanation: Explanation | None = None) -> None:
    """Write metrics.json, all or nothing."""
    with atomic_write_text(path) as file:
        file.write(json.dumps(metrics_json(evaluation, explanation), indent=2, allow_nan=False) + "\n")


def metrics_json(evaluation: Evaluation, explanation: Explanation | None = None) -> dict[str, Any]:
    """The content of metrics.json: plain values.

    Args:
        evaluation: To write.
        explanation: Heat maps; null without.
    """
    macro = ("auroc", "average_precision", "brier", "ece", "calibrated_brier", "calibrated_ece")
    return {
        "format": FORMAT,
        "notice": NOT_FOR_CLINICAL_USE,
        "title": evaluation.title,
        "subject": evaluation.subject,
        "synthetic": evaluation.synthetic,
        "split": evaluation.split,
        "images": evaluation.images,
        "patients": evaluation.patients,
        "macro": {name: None if (mean := getattr(evaluation, name)) is None else _mean(mean) for name in macro},
        "labels": {result.label: _label(result) for result in evaluation.labels},
        "fitted_on": evaluation.fitted_on,
        "not_fitted": evaluation.not_fitted,
        "subgroups": [_subgroup(group) for group in evaluation.subgroups],
        "controls": [_control(control) for control in evaluation.controls],
        "protocol": _protocol(evaluation.protocol),
        "published": [_published(result) for result in published_beside(evaluation)],
        "explanation": None if explanation is None else explanation_json(explanation),
        "model": plain(evaluation.model),
        "settings": plain(evaluation.settings),
        "versions": plain(evaluation.versions),
        "warnings": list(evaluation.warnings),
    }


def published_beside(evaluation: Evaluation) -> tuple[Published, ...]:
    """Published results that may stand beside these numbers: none beside synthetic ones, or on another protocol."""
    return evaluation.published if evaluation.protocol.comparable and not evaluation.synthetic else ()


def _mean(mean: Mean) -> dict[str, Any]:
    return {**plain_estimate(mean.estimate), "defined_labels": mean.labels}


def _label(result: LabelResult) -> dict[str, Any]:
    points = result.operating_points
    return {
        "n": result.n,
        "positives": result.positives,
        "prevalence": plain_number(result.prevalence),
        "auroc": plain_estimate(result.auroc),
        "average_precision": plain_estimate(result.average_precision),
        "brier": plain_number(result.brier),
        "ece": plain_number(result.ece),
        "calibration": None if result.calibration is None else _calibration(result.calibration),
        "operating_points": None if points is None else {point.name: _operating_point(point) for point in points},
    }


def _calibration(result: CalibrationResult) -> dict[str, Any]:
    return {
        "method": result.calibrator.method,
        "slope": plain_number(result.calibrator.slope),
        "intercept": plain_number(result.calibrator.intercept),
        "reason": result.calibrator.reason,
        "brier": plain_number(result.brier),
        "ece": plain_number(result.ece),
    }


def _operating_point(point: OperatingPoint) -> dict[str, Any]:
    return {
        "threshold": plain_number(point.threshold),
        "calibrated_threshold": plain_number(point.calibrated_threshold),
        **vars(point.counts),
        "sensitivity": plain_estimate(point.sensitivity),
        "specificity": plain_estimate(point.specificity),
        "at_prevalence": [{name: plain_number(value) for name, value in vars(at).items()} for at in point.at],
    }


def _subgroup(group: Subgroup) -> dict[str, Any]:
    return {
        "attribute": group.attribute,
        "group": group.group,
        "images": group.images,
        "patients": group.patients,
        "auroc": _mean(group.auroc),
        "reference": group.reference,
        "difference": _mean(group.difference),
        "labels": {
            label: {"positives": positives, "auroc": plain_estimate(estimate)}
            for label, (estimate, positives) in group.by_label.items()
        },
    }


def _control(control: Control) -> dict[str, Any]:
    return {
        "name": control.name,
        "description": control.description,
        "auroc": None if control.auroc is None else _mean(control.auroc),
        "labels": {label: plain_number(value) for label, value in control.by_label.items()},
        "reason": control.reason,
    }


def _protocol(protocol: Protocol) -> dict[str, Any]:
    return {
        "comparable": protocol.comparable,
        "reasons": list(protocol.reasons),
        "facts": plain(protocol.facts),
        "criteria": [
            {"name": criterion.name, "met": criterion.met, "detail": criterion.detail}
            for criterion in protocol.criteria
        ],
    }


def _published(result: Published) -> dict[str, Any]:
    auroc = {label: plain_number(value) for label, value in result.auroc.items()}
    return {"name": result.name, "source": result.source, "auroc": auroc, "mean": plain_number(result.mean)}
