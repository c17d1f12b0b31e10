"""metrics.json: an evaluation's numbers, for programs. ``metrics_model.py`` says what each key means."""

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic.json_schema import GenerateJsonSchema

from cxr_lightning.evaluation.label_result import CalibrationResult, LabelResult, OperatingPoint
from cxr_lightning.evaluation.results import Baseline, Evaluation, MeanEstimate, PublishedResult, Subgroup
from cxr_lightning.explain.results import Explanation
from cxr_lightning.report.evaluation_protocol import comparability_reasons, protocol_facts
from cxr_lightning.report.explanation_json import estimate_json, explanation_json
from cxr_lightning.report.json_model import MeanDifferenceJson, MeanJson, MetricJson, MetricMeanJson
from cxr_lightning.report.label_model import CalibrationJson, LabelJson, OperatingPointJson, PredictiveValuesJson
from cxr_lightning.report.metrics_model import (
    BaselineJson,
    CriterionJson,
    MacroJson,
    MetricsJson,
    ProtocolJson,
    PublishedResultJson,
    SettingsJson,
    SubgroupJson,
    SubgroupLabelJson,
)
from cxr_lightning.report.wording import CRITERIA, evaluation_title, interval_method, sentence
from cxr_lightning.utils.io import atomic_write_text
from cxr_lightning.utils.json_values import to_json
from cxr_lightning.utils.notices import NOT_FOR_CLINICAL_USE
from cxr_lightning.utils.typed_values import describe_errors

_OWN_KEYS = ("auroc", "average_precision", "brier", "ece")
"""Metrics with keys of their own; all others are under `metrics`."""


class _WithoutFieldTitles(GenerateJsonSchema):
    """JSON Schema without the titles that pydantic makes of the keys: they say nothing new."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ANN401  # pydantic's
        """Return False for every key, so that none has a title."""
        return False


def metrics_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) that every metrics.json fulfills, generated from its types."""
    schema = MetricsJson.model_json_schema(mode="serialization", schema_generator=_WithoutFieldTitles)
    return {"$schema": _WithoutFieldTitles.schema_dialect, **schema}


def write_metrics_json(evaluation: Evaluation, path: Path, explanation: Explanation | None = None) -> None:
    """Write metrics.json atomically.

    Raises:
        ValueError: If a number is out of its bounds; nothing is written.
    """
    with atomic_write_text(path) as file:
        file.write(json.dumps(metrics_json(evaluation, explanation), indent=2, allow_nan=False) + "\n")


def metrics_json(evaluation: Evaluation, explanation: Explanation | None = None) -> dict[str, Any]:
    """The content of metrics.json as plain values; without heat maps the explanation is null.

    Raises:
        ValueError: If a number is out of its bounds.
    """
    try:
        return _metrics(evaluation, explanation).plain_values()
    except ValidationError as error:
        raise ValueError(
            f"Expected numbers within their bounds for metrics.json but {describe_errors(error)}. Correct the metric, "
            "or the predictions."
        ) from error


def _metrics(evaluation: Evaluation, explanation: Explanation | None) -> MetricsJson:
    model: Any = to_json(evaluation.model)
    return MetricsJson(
        format=1,
        notice=NOT_FOR_CLINICAL_USE,
        title=evaluation_title(evaluation),
        subject=evaluation.source,
        synthetic=evaluation.synthetic,
        split=evaluation.split,
        images=evaluation.images,
        patients=evaluation.patients,
        macro=_macro(evaluation),
        labels={result.label: _label(result) for result in evaluation.labels},
        fitted_on=evaluation.fitted_on,
        not_fitted=sentence(evaluation.not_fitted),
        subgroups=tuple(_subgroup(group) for group in evaluation.subgroups),
        controls=tuple(_baseline(baseline) for baseline in evaluation.baselines),
        protocol=_protocol(evaluation),
        published=tuple(_published(result) for result in comparable_published_results(evaluation)),
        explanation=None if explanation is None else explanation_json(explanation),
        model=model,
        settings=_settings(evaluation),
        versions=dict(evaluation.versions),
        warnings=tuple(sentence(warning) for warning in evaluation.warnings),
    )


def comparable_published_results(evaluation: Evaluation) -> tuple[PublishedResult, ...]:
    """Published results that may be shown beside these numbers; empty for synthetic data or another protocol."""
    return evaluation.published if evaluation.comparability.comparable and not evaluation.synthetic else ()


def settings_json(evaluation: Evaluation) -> dict[str, Any]:
    """Settings with which the numbers were computed, as plain values."""
    return _settings(evaluation).plain_values()


def _settings(evaluation: Evaluation) -> SettingsJson:
    settings = evaluation.settings
    data: Any = to_json(evaluation.data)
    return SettingsJson(
        replicates=settings.replicates,
        seed=settings.seed,
        interval=interval_method(),
        prevalences=settings.prevalences,
        predicted_with=settings.predictor or "predictions from elsewhere",
        data=data,
    )


def _mean(mean: MeanEstimate) -> MeanJson:
    return MeanJson(**_mean_values(mean))


def _mean_values(mean: MeanEstimate) -> dict[str, Any]:
    return {**vars(mean.estimate), "defined_labels": mean.labels}


def _macro(evaluation: Evaluation) -> MacroJson:
    calibrated_brier, calibrated_ece = evaluation.calibrated_brier, evaluation.calibrated_ece
    means = evaluation.means
    others = {name: MetricMeanJson(**_mean_values(mean)) for name, mean in means.items() if name not in _OWN_KEYS}
    return MacroJson(
        auroc=_mean(means["auroc"]),
        average_precision=_mean(means["average_precision"]),
        brier=_mean(means["brier"]),
        ece=_mean(means["ece"]),
        calibrated_brier=None if calibrated_brier is None else _mean(calibrated_brier),
        calibrated_ece=None if calibrated_ece is None else _mean(calibrated_ece),
        **({"metrics": others} if others else {}),
    )


def _label(result: LabelResult) -> LabelJson:
    points = result.operating_points
    others = {name: MetricJson(**vars(value)) for name, value in result.metrics.items() if name not in _OWN_KEYS}
    return LabelJson(
        n=result.n,
        positives=result.positives,
        prevalence=result.prevalence,
        auroc=estimate_json(result.auroc),
        average_precision=estimate_json(result.average_precision),
        brier=result.brier,
        ece=result.ece,
        calibration=None if result.calibration is None else _calibration(result.calibration),
        operating_points=None if points is None else {point.name: _operating_point(point) for point in points},
        **({"metrics": others} if others else {}),
    )


def _calibration(result: CalibrationResult) -> CalibrationJson:
    return CalibrationJson(
        method=result.calibrator.method,
        slope=result.calibrator.slope,
        intercept=result.calibrator.intercept,
        reason=result.calibrator.reason,
        brier=result.brier,
        ece=result.ece,
    )


def _operating_point(point: OperatingPoint) -> OperatingPointJson:
    return OperatingPointJson(
        threshold=point.threshold,
        calibrated_threshold=point.calibrated_threshold,
        **vars(point.counts),
        sensitivity=estimate_json(point.sensitivity),
        specificity=estimate_json(point.specificity),
        at_prevalence=tuple(PredictiveValuesJson(**vars(values)) for values in point.at),
    )


def _subgroup(group: Subgroup) -> SubgroupJson:
    difference = group.difference.estimate
    return SubgroupJson(
        attribute=group.attribute,
        group=group.group,
        images=group.images,
        patients=group.patients,
        auroc=_mean(group.auroc),
        reference=group.reference,
        difference=MeanDifferenceJson(**vars(difference), defined_labels=group.difference.labels),
        labels={
            label: SubgroupLabelJson(positives=positives, auroc=estimate_json(estimate))
            for label, (estimate, positives) in group.by_label.items()
        },
    )


def _baseline(baseline: Baseline) -> BaselineJson:
    return BaselineJson(
        name=baseline.name,
        description=sentence(baseline.description),
        auroc=None if baseline.auroc is None else _mean(baseline.auroc),
        labels=dict(baseline.by_label),
        reason=sentence(baseline.reason),
    )


def _protocol(evaluation: Evaluation) -> ProtocolJson:
    return ProtocolJson(
        comparable=evaluation.comparability.comparable,
        reasons=tuple(comparability_reasons(evaluation)),
        facts=protocol_facts(evaluation),
        criteria=tuple(
            CriterionJson(name=CRITERIA[criterion.code], met=criterion.met, detail=sentence(criterion.detail))
            for criterion in evaluation.comparability.criteria
        ),
    )


def _published(result: PublishedResult) -> PublishedResultJson:
    return PublishedResultJson(name=result.name, source=result.source, auroc=dict(result.auroc), mean=result.mean)
