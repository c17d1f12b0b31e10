"""metrics.json: an evaluation's numbers, for programs. An undefined number is null."""

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

from cxr_lightning.evaluation.results import (
    Baseline,
    CalibrationResult,
    Evaluation,
    LabelResult,
    MeanEstimate,
    OperatingPoint,
    PublishedResult,
    Subgroup,
)
from cxr_lightning.explain.results import Explanation
from cxr_lightning.report.evaluation_protocol import comparability_reasons, protocol_facts
from cxr_lightning.report.explanation_json import estimate_json, explanation_json
from cxr_lightning.report.wording import CRITERIA, NOT_FOR_CLINICAL_USE, evaluation_title, interval_method, sentence
from cxr_lightning.utils.io import atomic_write_text
from cxr_lightning.utils.json_values import nan_to_null, to_json

_FORMAT = 1
"""Version of the format, raised when a key changes its meaning or is removed; the schema names the one it describes."""


def metrics_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) that every metrics.json fulfills."""
    text = files("cxr_lightning.report").joinpath("metrics.schema.json").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


def write_metrics_json(evaluation: Evaluation, path: Path, explanation: Explanation | None = None) -> None:
    """Write metrics.json atomically."""
    with atomic_write_text(path) as file:
        file.write(json.dumps(metrics_json(evaluation, explanation), indent=2, allow_nan=False) + "\n")


def metrics_json(evaluation: Evaluation, explanation: Explanation | None = None) -> dict[str, Any]:
    """The content of metrics.json as plain values; without heat maps the explanation is null."""
    macro = ("auroc", "average_precision", "brier", "ece", "calibrated_brier", "calibrated_ece")
    return {
        "format": _FORMAT,
        "notice": NOT_FOR_CLINICAL_USE,
        "title": evaluation_title(evaluation),
        "subject": evaluation.source,
        "synthetic": evaluation.synthetic,
        "split": evaluation.split,
        "images": evaluation.images,
        "patients": evaluation.patients,
        "macro": {name: None if (mean := getattr(evaluation, name)) is None else _mean(mean) for name in macro},
        "labels": {result.label: _label(result) for result in evaluation.labels},
        "fitted_on": evaluation.fitted_on,
        "not_fitted": sentence(evaluation.not_fitted),
        "subgroups": [_subgroup(group) for group in evaluation.subgroups],
        "controls": [_baseline(baseline) for baseline in evaluation.baselines],
        "protocol": _protocol(evaluation),
        "published": [_published(result) for result in comparable_published_results(evaluation)],
        "explanation": None if explanation is None else explanation_json(explanation),
        "model": to_json(evaluation.model),
        "settings": settings_json(evaluation),
        "versions": to_json(evaluation.versions),
        "warnings": [sentence(warning) for warning in evaluation.warnings],
    }


def comparable_published_results(evaluation: Evaluation) -> tuple[PublishedResult, ...]:
    """Published results that may be shown beside these numbers; empty for synthetic data or another protocol."""
    return evaluation.published if evaluation.comparability.comparable and not evaluation.synthetic else ()


def _mean(mean: MeanEstimate) -> dict[str, Any]:
    return {**estimate_json(mean.estimate), "defined_labels": mean.labels}


def _label(result: LabelResult) -> dict[str, Any]:
    points = result.operating_points
    return {
        "n": result.n,
        "positives": result.positives,
        "prevalence": nan_to_null(result.prevalence),
        "auroc": estimate_json(result.auroc),
        "average_precision": estimate_json(result.average_precision),
        "brier": nan_to_null(result.brier),
        "ece": nan_to_null(result.ece),
        "calibration": None if result.calibration is None else _calibration(result.calibration),
        "operating_points": None if points is None else {point.name: _operating_point(point) for point in points},
    }


def _calibration(result: CalibrationResult) -> dict[str, Any]:
    return {
        "method": result.calibrator.method,
        "slope": nan_to_null(result.calibrator.slope),
        "intercept": nan_to_null(result.calibrator.intercept),
        "reason": result.calibrator.reason,
        "brier": nan_to_null(result.brier),
        "ece": nan_to_null(result.ece),
    }


def _operating_point(point: OperatingPoint) -> dict[str, Any]:
    return {
        "threshold": nan_to_null(point.threshold),
        "calibrated_threshold": nan_to_null(point.calibrated_threshold),
        **vars(point.counts),
        "sensitivity": estimate_json(point.sensitivity),
        "specificity": estimate_json(point.specificity),
        "at_prevalence": [{name: nan_to_null(value) for name, value in vars(values).items()} for values in point.at],
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
            label: {"positives": positives, "auroc": estimate_json(estimate)}
            for label, (estimate, positives) in group.by_label.items()
        },
    }


def _baseline(baseline: Baseline) -> dict[str, Any]:
    return {
        "name": baseline.name,
        "description": sentence(baseline.description),
        "auroc": None if baseline.auroc is None else _mean(baseline.auroc),
        "labels": {label: nan_to_null(value) for label, value in baseline.by_label.items()},
        "reason": sentence(baseline.reason),
    }


def _protocol(evaluation: Evaluation) -> dict[str, Any]:
    return {
        "comparable": evaluation.comparability.comparable,
        "reasons": comparability_reasons(evaluation),
        "facts": protocol_facts(evaluation),
        "criteria": [
            {"name": CRITERIA[criterion.code], "met": criterion.met, "detail": sentence(criterion.detail)}
            for criterion in evaluation.comparability.criteria
        ],
    }


def settings_json(evaluation: Evaluation) -> dict[str, Any]:
    """Settings with which the numbers were computed, as plain values."""
    settings = evaluation.settings
    return {
        "replicates": settings.replicates,
        "seed": settings.seed,
        "interval": interval_method(),
        "prevalences": list(settings.prevalences),
        "predicted with": settings.predictor or "predictions from elsewhere",
        "data": to_json(evaluation.data),
    }


def _published(result: PublishedResult) -> dict[str, Any]:
    auroc = {label: nan_to_null(value) for label, value in result.auroc.items()}
    return {"name": result.name, "source": result.source, "auroc": auroc, "mean": nan_to_null(result.mean)}
