"""Evaluations made by hand or of random scores: the report is told numbers, it does not ask where they come from."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from cxr_lightning.evaluation.baselines import METADATA_BASELINE, SHUFFLED_BASELINE
from cxr_lightning.evaluation.comparability import Comparability, Criterion
from cxr_lightning.evaluation.label_result import CalibrationResult, Curve, LabelResult, OperatingPoint
from cxr_lightning.evaluation.results import (
    Baseline,
    Evaluation,
    EvaluationSettings,
    MeanEstimate,
    PublishedResult,
    Subgroup,
)
from cxr_lightning.evaluation.statements import statement
from cxr_lightning.explain.results import Explanation, LocalizationResult, Overlay, SanityResult
from cxr_lightning.labels import NIH_LABELS
from cxr_lightning.metrics.bootstrap import Estimate
from cxr_lightning.metrics.calibration import Calibrator, ReliabilityCurve
from cxr_lightning.metrics.operating_points import Confusion, PredictiveValues
from cxr_lightning.metrics.report_metric import report_metrics

HOSTILE_LABELS = ("<script>alert(1)</script>", "=1+1", "$\\frac{", "x" * 200, "a_b & 'c' \"d\" onload=e", "[bold]f[/]")
METRICS = ("auroc", "average_precision", "brier", "ece")
NOTHING = Curve(np.empty(0), np.empty(0))
NO_BINS = ReliabilityCurve(np.empty(0), np.empty(0), np.empty(0, dtype=np.int64))


def around(value: float, half: float = 0.02) -> Estimate:
    return Estimate(value, max(value - half, 0), min(value + half, 1))


def operating_point(name: str, sensitivity: float, specificity: float, n: int, positives: int) -> OperatingPoint:
    """Worked out from its rates, at the set's prevalence and at 10 %."""
    hits, cleared = round(sensitivity * positives), round(specificity * (n - positives))
    counts = Confusion(hits, n - positives - cleared, cleared, positives - hits)
    at = []
    for prevalence in (positives / n, 0.1):
        alerts = sensitivity * prevalence + (1 - specificity) * (1 - prevalence)
        rest = 1 - alerts
        ppv, npv = sensitivity * prevalence / alerts, specificity * (1 - prevalence) / rest
        at.append(PredictiveValues(prevalence, ppv, npv, 1000 * alerts))
    return OperatingPoint(name, 0.25, 0.125, counts, around(sensitivity), around(specificity), tuple(at))


def label_result(label: str, *, seed: int = 0, points: int = 60, n: int = 2000) -> LabelResult:
    """A finding with plausible curves of a few points."""
    generator = np.random.default_rng(seed)
    x = np.sort(np.concatenate([[0, 1], generator.random(points)]))
    power = generator.uniform(0.15, 0.6)
    positives = int(generator.integers(20, n // 5))
    recall = np.linspace(0.01, 1, points)
    precision = positives / n + (1 - positives / n) * (1 - recall) ** 2
    predicted = np.linspace(0.02, 0.8, 10)
    bins = ReliabilityCurve(predicted, predicted**1.6, np.full(10, n // 10))
    better = ReliabilityCurve(predicted, predicted**1.05, np.full(10, n // 10))
    return LabelResult(
        label=label,
        n=n,
        positives=positives,
        metrics={
            "auroc": around(1 - power / (1 + power)),
            "average_precision": around(0.2, 0.05),
            "brier": Estimate(0.08),
            "ece": Estimate(0.04),
        },
        roc=Curve(x, x**power),
        precision_recall=Curve(recall, precision),
        reliability=bins,
        calibration=CalibrationResult(
            Calibrator("platt", 1.25, -0.5, "validation cross-entropy: none 0.3, platt 0.2"), 0.07, 0.01, better
        ),
        operating_points=(
            operating_point("youden", 0.8, 0.75, n, positives),
            operating_point("sensitivity@0.95", 0.94, 0.4, n, positives),
        ),
    )


def undefined_label(label: str) -> LabelResult:
    """A finding of which nothing is known."""
    return LabelResult(label, 0, 0, {name: Estimate() for name in METRICS}, NOTHING, NOTHING, NO_BINS)


def data_record(**changes: Any) -> dict[str, Any]:
    """The record of NIH's data on its official split."""
    record = {"source": "nih", "synthetic": False, "subset": False, "files": {"test_list.txt": "0123456789abcdef"}}
    record |= dict.fromkeys(("skipped", "rejected", "leaked"), 0)
    record |= {"splits": {"test": {"images": 2000, "patients": 700}}}
    return {**record, "settings": {"split": "official", "seed": 0, "views": None}, **changes}


def make_evaluation(labels: tuple[LabelResult, ...], **changes: Any) -> Evaluation:
    """An evaluation of findings, with everything that a report can show."""
    values = [result.auroc.value for result in labels if not math.isnan(result.auroc.value)]
    mean = MeanEstimate(around(sum(values) / len(values), 0.01), len(values)) if values else MeanEstimate(Estimate(), 0)
    groups = {"sex": ("F", "M"), "age": ("0-19", "20-39", "40-59", "60 and over", "unknown"), "view": ("PA", "AP")}
    subgroups = tuple(
        Subgroup(
            attribute,
            group,
            400,
            150,
            mean,
            {result.label: (result.auroc, 12) for result in labels},
            names[0],
            MeanEstimate(Estimate(), 0)
            if group == names[0]
            else MeanEstimate(Estimate(-0.02, -0.05, 0.01), len(values)),
        )
        for attribute, names in groups.items()
        for group in names
    )
    by_label = {result.label: 0.5 for result in labels}
    evaluation = Evaluation(
        source="best.ckpt",
        synthetic=False,
        split="test",
        images=2000,
        patients=700,
        missing=0,
        labels=labels,
        metrics=tuple(metric for metric in report_metrics() if metric.name in METRICS),
        means={
            "auroc": mean,
            "average_precision": MeanEstimate(Estimate(0.2, 0.18, 0.22), len(values)),
            "brier": MeanEstimate(Estimate(0.08), len(labels)),
            "ece": MeanEstimate(Estimate(0.04), len(labels)),
        },
        calibrated_brier=MeanEstimate(Estimate(0.07), len(labels)),
        calibrated_ece=MeanEstimate(Estimate(0.01), len(labels)),
        fitted_on="200 validation images",
        not_fitted=None,
        subgroups=subgroups,
        baselines=(
            Baseline(
                METADATA_BASELINE, statement("metadata_baseline", images=900), MeanEstimate(around(0.6), 14), by_label
            ),
            Baseline(
                SHUFFLED_BASELINE, statement("shuffled_baseline", shuffles=100), MeanEstimate(around(0.5), 14), by_label
            ),
            Baseline("another", statement("metadata_baseline", images=0), None, {}, statement("no_metadata_columns")),
        ),
        comparability=Comparability(
            (
                Criterion(
                    "official_test_list", True, statement("official_list_complete", images=25_596, official=25_596)
                ),
                Criterion("all_views", True, statement("views", views=None)),
            )
        ),
        published=(PublishedResult("Wang et al. 2017", "CVPR 2017, table 3.", {"Edema": 0.8354}, 0.738),),
        model={
            "backbone": "densenet121",
            "labels": [result.label for result in labels],
            "statistics": {"mean": 0.5, "std": (0.25, None)},
        },
        data=data_record(),
        settings=EvaluationSettings(replicates=1000, seed=0, prevalences=(0.1,), predictor="cpu, 32"),
        versions={"torch": "2.11.0", "cxr-lightning": "0.1.0"},
        warnings=(),
    )
    return replace(evaluation, **changes)


def overlay(label: str = "Mass", kind: str = "true positive", *, size: int = 32, **changes: Any) -> Overlay:
    """A bright square on a gradient with some noise, a smooth map over it and a box around it."""
    down, across = np.mgrid[:size, :size] / size
    image = (160 * down + np.random.default_rng(0).integers(0, 8, (size, size))).astype(np.uint8)
    image[size // 4 : size // 2, size // 4 : size // 2] = 200
    heatmap = np.exp(-((down - 0.375) ** 2 + (across - 0.375) ** 2) / 0.02).astype(np.float32)
    found = Overlay("00000001_000.png", label, kind, image, heatmap / heatmap.max(), 0.75, 1.0, ((0.25,) * 4,))
    return replace(found, **changes)


def localization(label: str) -> LocalizationResult:
    """Each number differs, so that it can be told which is shown."""
    return LocalizationResult(
        label,
        images=83,
        hit_rate=Estimate(0.412, 0.311, 0.513),
        best_hit_rate=0.9,
        random_hit_rate=Estimate(0.081, 0.061, 0.101),
        center_hit_rate=Estimate(0.122, 0.072, 0.172),
        over_random=Estimate(0.331, 0.221, 0.441),
        over_center=Estimate(-0.015, -0.115, 0.085),
        iou=Estimate(0.213, 0.183, 0.243),
        best_iou=0.614,
        iou_accuracy={0.1: 0.715, 0.5: 0.105},
        iobb_accuracy={0.25: 0.635},
        empty=7,
    )


def undefined_localization(label: str) -> LocalizationResult:
    """Nothing of it is known."""
    nothing = Estimate()
    return LocalizationResult(label, 0, nothing, math.nan, *(nothing,) * 5, math.nan, {0.1: math.nan}, {}, 0)


def make_explanation(*gallery: Overlay, **changes: Any) -> Explanation:
    """Everything that a report can show of heat maps."""
    explanation = Explanation(
        "densenet121",
        "pre_relu",
        "test",
        2,
        True,
        gallery,
        (localization("Mass"), undefined_localization("Hernia"), localization("all")),
        SanityResult(64, {"classifier": 0.316, "denseblock4": -0.024}, 0.217, 0.358, 0.529, 0.401),
    )
    return replace(explanation, **changes)


def realistic_evaluation(points: int = 500, **changes: Any) -> Evaluation:
    """NIH's 14 findings."""
    labels = tuple(label_result(label, seed=seed, points=points) for seed, label in enumerate(NIH_LABELS))
    return make_evaluation(labels, **changes)


@pytest.fixture(scope="session")
def make_plain() -> Callable[..., Evaluation]:
    """Makes an evaluation of three findings of real data, one of them undefined; keywords change it."""

    def make(**changes: Any) -> Evaluation:
        labels = (label_result("Edema"), label_result("Mass", seed=1), undefined_label("Hernia"))
        return make_evaluation(labels, **changes)

    return make


@pytest.fixture(scope="session")
def plain_evaluation(make_plain: Callable[..., Evaluation]) -> Evaluation:
    return make_plain()


@pytest.fixture(scope="session")
def synthetic_evaluation(make_plain: Callable[..., Evaluation]) -> Evaluation:
    return make_plain(synthetic=True, images=400, data=data_record(source="phantom", synthetic=True))


@pytest.fixture(scope="session")
def undefined_evaluation() -> Evaluation:
    """One finding, nothing defined, nothing fitted, nothing known."""
    nothing = MeanEstimate(Estimate(), 0)
    return make_evaluation(
        (undefined_label("Hernia"),),
        means=dict.fromkeys(METRICS, nothing),
        calibrated_brier=None,
        calibrated_ece=None,
        fitted_on=None,
        not_fitted=statement("no_validation_predictions"),
        subgroups=(),
        baselines=(),
        comparability=Comparability((Criterion("untouched_test", None, statement("predictions_unknown")),)),
        published=(),
        model={},
        data=data_record(files={}, splits={}),
        settings=EvaluationSettings(replicates=1000, seed=0, prevalences=(), predictor=""),
        versions={},
        warnings=(statement("undefined_auroc", labels=["Hernia"]),),
    )


@pytest.fixture(scope="session")
def hostile_evaluation() -> Evaluation:
    """Text that wants to be markup, mathematics, a formula or a script, wherever text comes from a file."""
    bad = "</script><script>alert(1)</script><img src=x onerror=alert(1)>$\\frac{"
    labels = tuple(label_result(label, seed=seed) for seed, label in enumerate(HOSTILE_LABELS))
    settings = {"split": bad, "seed": 0, "views": [bad], bad: bad}
    data = {**data_record(source=bad, files={bad: bad}, settings=settings), bad: bad}
    return make_evaluation(
        labels,
        source=f"=cmd{bad}",
        fitted_on=bad,
        comparability=Comparability(
            (
                Criterion("untouched_test", True, statement("initial_weights_unknown", weights=bad)),
                Criterion("all_findings", True, statement("findings", absent=[bad], other=[bad])),
                Criterion("all_views", True, statement("views", views=[bad])),
            )
        ),
        published=(PublishedResult(bad, bad, {bad: 0.5}, 0.5),),
        baselines=(
            Baseline(bad, statement("metadata_baseline", images=0), None, {}, statement("no_metadata_columns")),
        ),
        model={
            bad: {"nested": [bad, {"deeper": bad}]},
            "long": list(range(1000)),
            "wordy": bad * 20,
            "data": data,
            "initial_weights": bad,
            "monitor": bad,
        },
        data=data,
        settings=EvaluationSettings(replicates=1000, seed=0, prevalences=(), predictor=bad),
        versions={bad: bad},
        warnings=(
            statement("labels_without_column", labels=[bad]),
            statement("few_images", minimum=10, images={bad: 3}),
        ),
    )


@pytest.fixture(scope="session")
def make_overlay() -> Callable[..., Overlay]:
    """Makes an overlay of a finding and a kind; keywords change it."""
    return overlay


@pytest.fixture(scope="session")
def explanation() -> Explanation:
    """Three pictures of two findings, one of them without evidence."""
    empty = overlay("Hernia", "false negative", heatmap=np.zeros((32, 32), dtype=np.float32), boxes=())
    return make_explanation(overlay(), empty, overlay(kind="false positive", target=0.0))


@pytest.fixture(scope="session")
def undefined_explanation() -> Explanation:
    """A picture of which nothing is known, and numbers that are not defined."""
    nan = math.nan
    unknown = overlay("Hernia", "asked for", probability=nan, target=nan)
    sanity = SanityResult(0, {"classifier": nan}, nan, nan, nan, nan)
    return make_explanation(unknown, localization=(undefined_localization("Hernia"),), sanity=sanity)


@pytest.fixture(scope="session")
def hostile_explanation() -> Explanation:
    """Names that want to be markup, mathematics, or another folder."""
    bad = "</script><script>alert(1)</script><img src=x onerror=alert(1)>$\\frac{"
    names = (*HOSTILE_LABELS, "../../up", "..", "", "CON", "\u202eodd\x00\ud800", "a/b\\c", "a-b-c", "A-B-C")
    gallery = tuple(overlay(name, kind, image_id=f"../{bad}") for name in names for kind in ("true positive", bad))
    sanity = SanityResult(1, {bad: 0.5}, 0.1, 0.2, 0.3, 0.4)
    named = {"backbone": bad, "target_layer": bad, "split": bad}
    return make_explanation(*gallery, **named, localization=(localization(bad),), sanity=sanity)
