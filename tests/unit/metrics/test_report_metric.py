"""A metric of the report is one object: its function, direction, format, and whether it has an interval."""

import math
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score

from cxr_lightning.metrics import report_metric
from cxr_lightning.metrics.bootstrap import Resampling, bootstrap_scores, draw_patients
from cxr_lightning.metrics.metric_bootstrap import bootstrap_metrics
from cxr_lightning.metrics.ranking import FloatArray, auroc, rank_by_score
from cxr_lightning.metrics.report_metric import ReportMetric, register_metric, report_metrics

LABELS = ("Mass", "Edema")


def balanced_accuracy(probabilities: FloatArray, targets: FloatArray) -> float:
    known = ~np.isnan(targets)
    predicted, truth = probabilities[known] >= 0.5, targets[known] == 1
    if truth.all() or not truth.any():
        return math.nan
    return float((predicted[truth].mean() + (~predicted[~truth]).mean()) / 2)


BALANCED = ReportMetric(
    "balanced_accuracy", "bal. acc.", balanced_accuracy, "Mean of sensitivity and specificity at 0.5.", interval=True
)


@pytest.fixture(autouse=True)
def own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report_metric, "_registered", {})


def draws(seed: int = 0) -> tuple[FloatArray, FloatArray, Resampling]:
    generator = np.random.default_rng(seed)
    targets = (generator.random((60, 2)) < 0.4).astype(np.float64)
    probabilities = np.clip(0.3 * targets + 0.7 * generator.random((60, 2)), 0, 1)
    targets[:3, 0] = np.nan
    patients = np.array([str(row // 3) for row in range(60)], dtype=object)
    return probabilities, targets, draw_patients(patients, 50, 1)


def test_the_metrics_of_the_report_are_found_by_name() -> None:
    found = {metric.name: metric for metric in report_metrics()}
    assert list(found) == sorted(found)
    for name, interval, higher_is_better in (
        ("auroc", True, True),
        ("average_precision", True, True),
        ("brier", False, False),
        ("ece", False, False),
    ):
        assert (found[name].interval, found[name].higher_is_better) == (interval, higher_is_better)
    assert all(metric.meaning.endswith(".") for metric in found.values())


def test_a_registered_metric_comes_last_and_once() -> None:
    assert register_metric(BALANCED) is BALANCED
    register_metric(BALANCED)  # such as by a package that is imported again
    names = [metric.name for metric in report_metrics()]
    assert names[-1] == "balanced_accuracy"
    assert names.count("balanced_accuracy") == 1


def test_two_metrics_with_one_name_are_refused() -> None:
    register_metric(BALANCED)
    other = ReportMetric("balanced_accuracy", "BA", auroc, "Something else.")
    with pytest.raises(ValueError, match="two have the name 'balanced_accuracy'"):
        register_metric(other)
    with pytest.raises(ValueError, match="two have the name 'auroc'"):
        register_metric(ReportMetric("auroc", "AUROC", balanced_accuracy, "Not the AUROC."))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "balanced accuracy"}, "identifier but got 'balanced accuracy'"),
        ({"name": "positives"}, "no other column of metrics.csv but got 'positives'"),
        ({"name": "auroc_low"}, "no other column of metrics.csv but got 'auroc_low'"),
        ({"title": 7}, "text as the title of the metric 'a' but got 7"),
        ({"format": None}, "format of numbers"),
        ({"format": "three"}, "format of numbers such as '.3f' .* got 'three'"),
    ],
)
def test_what_cannot_be_shown_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ReportMetric(**{"name": "a", "title": "A", "function": auroc, "meaning": "A.", **arguments})


def test_values_have_the_metrics_format() -> None:
    percent = ReportMetric("a", "A", auroc, "A.", format=".1%")
    assert (percent.format_value(0.8125), percent.format_value(math.nan)) == ("81.2%", "n/a")


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (math.inf, "or NaN from the metric 'a' for Mass but got inf"),
        ("x", "'a' for Mass but its function"),
    ],
)
def test_a_function_that_gives_no_number_is_an_error_that_names_it(result: Any, message: str) -> None:
    metric = ReportMetric("a", "A", lambda probabilities, targets: result, "A.")
    with pytest.raises(ValueError, match=message):
        metric.value("Mass", np.array([0.5]), np.array([1.0]))


def test_a_function_cannot_change_what_others_read() -> None:
    def sort_in_place(probabilities: FloatArray, targets: FloatArray) -> float:
        probabilities.sort()
        return 0.5

    probabilities = np.array([0.5, 0.25])
    with pytest.raises(ValueError, match="'a' for Mass but its function fails"):
        ReportMetric("a", "A", sort_in_place, "A.").value("Mass", probabilities, np.array([1.0, 0.0]))
    assert probabilities.tolist() == [0.5, 0.25]


def test_the_value_is_that_of_the_function() -> None:
    probabilities, targets, _ = draws()
    known = ~np.isnan(targets[:, 0])
    expected = balanced_accuracy_score(targets[known, 0], probabilities[known, 0] >= 0.5)
    assert BALANCED.value("Mass", probabilities[:, 0], targets[:, 0]) == pytest.approx(expected, abs=1e-12)


def test_replicates_of_any_metric_are_those_of_the_ranked_ones() -> None:
    probabilities, targets, resampling = draws()
    slow = ReportMetric("slow_auroc", "AUROC", auroc, "The same, computed for each replicate.", interval=True)
    found = bootstrap_metrics([*report_metrics(), slow], LABELS, probabilities, targets, resampling)
    rankings = [rank_by_score(*column) for column in zip(probabilities.T, targets.T, strict=True)]
    np.testing.assert_array_equal(found["auroc"], bootstrap_scores(rankings, resampling)[0])
    np.testing.assert_allclose(found["slow_auroc"], found["auroc"], atol=1e-12)
    assert {"auroc", "average_precision", "slow_auroc"} <= set(found)
    assert "brier" not in found


def test_a_label_of_one_patient_has_no_replicates() -> None:
    probabilities, targets, resampling = draws()
    targets[:, 1] = 0
    targets[:3, 1] = 1  # all of the first patient
    assert np.isnan(
        bootstrap_metrics([BALANCED], LABELS, probabilities, targets, resampling)["balanced_accuracy"][:, 1]
    ).all()
