"""The whole evaluation: against scikit-learn, and what happens where numbers are not defined."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

from cxr_lightning.evaluation.comparability import PredictionSource
from cxr_lightning.evaluation.evaluate import EvaluationInputs, evaluate_predictions
from cxr_lightning.evaluation.results import Evaluation
from cxr_lightning.inference.predictions import Predictions
from cxr_lightning.metrics.operating_points import parse_rules
from cxr_lightning.metrics.ranking import Ranking
from cxr_lightning.models.postprocess import PostProcessing, fit_postprocessing, read_postprocessing
from cxr_lightning.report.metrics_json import metrics_json
from cxr_lightning.report.wording import sentence

Draw = Callable[..., tuple[Predictions, pd.DataFrame]]
RULES = parse_rules(["youden", "f1", "sensitivity@0.9", "specificity@0.9"])


def data_record(**changes: Any) -> dict[str, Any]:
    settings = {"split": "official", "seed": 0, "views": None, **changes.pop("settings", {})}
    plain = {"source": "nih", "synthetic": False, "subset": False, "files": {}, "splits": {}}
    plain |= dict.fromkeys(("skipped", "leaked", "rejected"), 0)
    return {**plain, **changes, "settings": settings}


def inputs_of(
    predictions: Predictions, table: pd.DataFrame, train: pd.DataFrame | None = None, **data: Any
) -> EvaluationInputs:
    train = table.iloc[:0] if train is None else train
    return EvaluationInputs(predictions, table, train, data_record(**data), PredictionSource("theirs.csv"))


def fit(predictions: Predictions, source: str = "validation") -> PostProcessing:
    parts = (predictions.labels, predictions.probabilities, predictions.targets, predictions.patient_ids)
    return fit_postprocessing(*parts, RULES, seed=0, source=source)


def run(
    drawn: tuple[Predictions, pd.DataFrame], postprocessing: PostProcessing | None = None, **options: Any
) -> Evaluation:
    predictions, table = drawn
    if postprocessing is not None:
        calibrated = postprocessing.calibrate(predictions.labels, predictions.probabilities)
        predictions = replace(predictions, calibrated=calibrated)
    evaluation = evaluate_predictions(inputs_of(predictions, table), postprocessing, replicates=100, **options)
    metrics_json(evaluation)  # every statement has its sentence
    return evaluation


def warnings_of(evaluation: Evaluation) -> list[str]:
    return [sentence(warning) for warning in evaluation.warnings]


def test_numbers_are_scikit_learns_and_targets_unknown_are_left_out(draw: Draw) -> None:
    predictions, table = draw(unknown=0.1)
    evaluation = run((predictions, table))
    for column, result in enumerate(evaluation.labels):
        known = ~np.isnan(predictions.targets[:, column])
        truth, scores = predictions.targets[known, column], predictions.probabilities[known, column]
        assert result.n == known.sum()
        assert result.positives == truth.sum()
        assert result.prevalence == pytest.approx(truth.mean())
        assert result.auroc.value == pytest.approx(roc_auc_score(truth, scores), abs=1e-9)
        assert result.average_precision.value == pytest.approx(average_precision_score(truth, scores), abs=1e-9)
        assert result.brier == pytest.approx(brier_score_loss(truth, scores), abs=1e-9)
        assert result.auroc.low < result.auroc.value < result.auroc.high
    values = [result.auroc.value for result in evaluation.labels]
    assert evaluation.auroc.estimate.value == pytest.approx(np.mean(values))
    assert evaluation.auroc.labels == 3
    assert (evaluation.images, evaluation.patients) == (120, 60)


def test_one_class_and_unknown_labels_are_undefined_and_named(draw: Draw) -> None:
    predictions, table = draw()
    predictions.targets[:, 0] = 0
    predictions.targets[:, 1] = math.nan
    validation, _ = draw(1)
    fitted = fit(validation)
    evaluation = run((predictions, table), fitted)
    one_class, unknown, fine = evaluation.labels
    assert math.isnan(one_class.auroc.value)
    assert math.isnan(one_class.average_precision.value)
    assert one_class.brier > 0  # defined without positives
    assert (unknown.n, unknown.positives) == (0, 0)
    for number in (unknown.prevalence, unknown.auroc.value, unknown.brier, unknown.ece):
        assert math.isnan(number)
    assert unknown.operating_points is not None
    assert math.isnan(unknown.operating_points[0].sensitivity.value)
    assert evaluation.auroc.labels == 1
    assert evaluation.auroc.estimate.value == fine.auroc.value
    assert evaluation.means["brier"].labels == 2
    assert any("n/a" in warning and "Mass, Edema" in warning for warning in warnings_of(evaluation))


def test_a_single_patient_has_numbers_but_no_intervals(draw: Draw) -> None:
    predictions, table = draw(3, patients=40)
    one = replace(predictions, patient_ids=np.full(80, "7", dtype=object))
    evaluation = run((one, table))
    assert evaluation.patients == 1
    for result in evaluation.labels:
        assert not math.isnan(result.auroc.value)
        assert math.isnan(result.auroc.low)
    assert math.isnan(evaluation.auroc.estimate.low)


def test_constant_predictions_are_chance_and_said_to_be(draw: Draw) -> None:
    predictions, table = draw()
    constant = replace(predictions, probabilities=np.full_like(predictions.probabilities, 0.3))
    evaluation = run((constant, table), fit(constant))
    assert evaluation.auroc.estimate.value == 0.5
    assert any("at random" in warning for warning in warnings_of(evaluation))
    for result in evaluation.labels:
        assert result.average_precision.value == pytest.approx(result.prevalence)


def test_thresholds_and_calibration_come_from_validation_alone(draw: Draw) -> None:
    validation, _ = draw(1, patients=300)
    fitted = fit(validation)
    evaluation = run(draw(2, patients=300), fitted)
    other = run(draw(5, patients=300), fitted)
    for result, again in zip(evaluation.labels, other.labels, strict=True):
        assert result.operating_points and again.operating_points  # noqa: PT018  # for the type checker
        assert [p.threshold for p in result.operating_points] == [p.threshold for p in again.operating_points]
        assert result.calibration and again.calibration  # noqa: PT018
        assert result.calibration.calibrator == again.calibration.calibrator
        counts = result.operating_points[0].counts
        total = counts.true_positives + counts.false_positives + counts.true_negatives + counts.false_negatives
        assert total == result.n
        sensitivity = counts.true_positives / (counts.true_positives + counts.false_negatives)
        assert result.operating_points[0].sensitivity.value == pytest.approx(sensitivity)
        own = result.operating_points[0].at[0]
        assert own.ppv == pytest.approx(counts.true_positives / (counts.true_positives + counts.false_positives))
        assert own.alerts_per_1000 == pytest.approx(1000 * (counts.true_positives + counts.false_positives) / result.n)


def test_what_is_fitted_survives_the_checkpoint(draw: Draw) -> None:
    predictions, _ = draw(1, patients=200)
    predictions.targets[:, 2] = 0
    fitted = fit(predictions, "200 validation images")
    again = read_postprocessing(fitted.to_metadata())
    assert again.calibrators == fitted.calibrators
    assert again.source == fitted.source
    assert again.positives == fitted.positives
    for label in predictions.labels:
        assert again.thresholds[label] == pytest.approx(fitted.thresholds[label], nan_ok=True)


def test_metadata_of_another_version_is_refused(draw: Draw) -> None:
    metadata = fit(draw()[0]).to_metadata()
    metadata["calibration"]["Mass"]["curve"] = "isotonic"
    with pytest.raises(ValueError, match=r"operating points of this version .*curve"):
        read_postprocessing(metadata)
    with pytest.raises(ValueError, match="operating points of this version"):
        read_postprocessing({"source": "v"})


def test_a_label_for_which_nothing_was_fitted_has_none_of_it(draw: Draw) -> None:
    validation, _ = draw(1)
    fitted = fit(validation.columns(["Mass"]))
    predictions, table = draw()
    evaluation = run((predictions, table), fitted)
    assert evaluation.labels[0].operating_points is not None
    assert evaluation.labels[1].operating_points is None
    assert evaluation.labels[1].calibration is None
    calibrated = fitted.calibrate(predictions.labels, predictions.probabilities)
    assert (calibrated[:, 1] == predictions.probabilities[:, 1]).all()


def test_few_positives_and_decisions_in_place_of_probabilities_are_said(draw: Draw) -> None:
    predictions, table = draw()
    predictions.targets[5:, 0] = 0
    predictions.targets[:5, 0] = 1
    predictions.targets[4:, 1] = 1
    predictions.targets[:4, 1] = 0
    decisions = replace(predictions, probabilities=(predictions.probabilities > 0.3).astype(float))
    fitted = fit(predictions)
    warnings = warnings_of(run((decisions, table), fitted))
    assert any("AUROC says little: Mass (5), Edema (4)" in warning for warning in warnings)
    assert any("Thresholds of these findings rest on" in warning and "Mass (5)" in warning for warning in warnings)
    assert any("exactly 0 or 1" in warning for warning in warnings)
    assert not any("exactly 0 or 1" in warning for warning in warnings_of(run((predictions, table))))


def test_prevalences_asked_for_follow_the_sets_own(draw: Draw) -> None:
    validation, _ = draw(1)
    evaluation = run(draw(), fit(validation), prevalences=[0.01, 0.2])
    points = evaluation.labels[0].operating_points
    assert points is not None
    assert [at.prevalence for at in points[0].at] == [evaluation.labels[0].prevalence, 0.01, 0.2]


@pytest.mark.parametrize("options", [{"prevalences": [0.0]}, {"prevalences": [1.5]}])
def test_impossible_prevalences_are_refused(draw: Draw, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="`prevalences` between 0 and 1"):
        run(draw(), **options)


def test_too_few_replicates_are_refused(draw: Draw) -> None:
    with pytest.raises(ValueError, match="`replicates` to be at least 2 but got 1"):
        evaluate_predictions(inputs_of(*draw()), replicates=1)


def test_subgroups_are_the_same_numbers_on_some_of_the_images(draw: Draw) -> None:
    predictions, table = draw(unknown=0.05)
    table.loc[:3, "sex"] = None
    table.loc[4:5, "age"] = math.nan
    evaluation = run((predictions, table))
    groups = {(group.attribute, group.group): group for group in evaluation.subgroups}
    assert {name for attribute, name in groups if attribute == "sex"} == {"F", "M", "unknown"}
    assert {name for attribute, name in groups if attribute == "view"} == {"PA", "AP"}
    assert groups["age", "unknown"].images == 2
    for attribute in ("sex", "age", "view"):
        assert sum(group.images for (name, _), group in groups.items() if name == attribute) == 120
    rows = ((table["age"] >= 40) & (table["age"] < 60)).to_numpy()
    group = groups["age", "40-59"]
    assert group.images == rows.sum()
    known = rows & ~np.isnan(predictions.targets[:, 0])
    expected = roc_auc_score(predictions.targets[known, 0], predictions.probabilities[known, 0])
    assert group.by_label["Mass"][0].value == pytest.approx(expected)
    assert group.by_label["Mass"][1] == (predictions.targets[rows, 0] == 1).sum()


def test_a_groups_difference_is_to_the_largest_group_over_labels_that_both_have(draw: Draw) -> None:
    predictions, table = draw(patients=150)
    table["sex"] = np.where(np.arange(300) % 3 == 0, "M", "F")
    predictions.targets[(table["sex"] == "M").to_numpy(), 2] = 0  # no Hernia among men
    groups = {group.group: group for group in run((predictions, table)).subgroups if group.attribute == "sex"}
    assert groups["M"].reference == groups["F"].reference == "F"
    assert (groups["M"].auroc.labels, groups["M"].difference.labels) == (2, 2)
    assert groups["F"].auroc.labels == 3
    both = [groups["M"].by_label[label][0].value - groups["F"].by_label[label][0].value for label in ("Mass", "Edema")]
    assert groups["M"].difference.estimate.value == pytest.approx(np.mean(both))
    assert math.isnan(groups["F"].difference.estimate.value)


def test_the_interval_of_a_difference_finds_a_group_that_the_model_fails_on(draw: Draw) -> None:
    predictions, table = draw(4, patients=300, strength=2.5)
    women = (table["sex"] == "F").to_numpy()
    random = np.random.default_rng(0).random(predictions.probabilities.shape)
    failing = replace(predictions, probabilities=np.where(women[:, None], random, predictions.probabilities))
    groups = {group.group: group for group in run((failing, table)).subgroups if group.attribute == "sex"}
    worse = groups["F"] if groups["F"].reference == "M" else groups["M"]
    sign = -1 if worse.group == "F" else 1
    assert sign * worse.difference.estimate.value > 0.25
    assert worse.difference.estimate.low < worse.difference.estimate.value < worse.difference.estimate.high
    assert not worse.difference.estimate.low < 0 < worse.difference.estimate.high


def test_a_finding_of_one_patient_does_not_count_in_a_groups_mean(draw: Draw) -> None:
    predictions, table = draw(patients=100)
    table["sex"] = np.where(table["patient_id"].astype(int) < 50, "F", "M")
    women = (table["sex"] == "F").to_numpy()
    predictions.targets[women, 0] = (table["patient_id"] == "7")[women]
    group = next(group for group in run((predictions, table)).subgroups if group.group == "F")
    assert not math.isnan(group.by_label["Mass"][0].value)
    assert group.auroc.labels == 2
    assert not math.isnan(group.auroc.estimate.low)


def test_rare_values_of_an_attribute_are_one_group(draw: Draw) -> None:
    predictions, table = draw()
    table["view_position"] = [f"view {number}" for number in range(len(table))]
    table.loc[:59, "view_position"] = "PA"
    groups = [group.group for group in run((predictions, table)).subgroups if group.attribute == "view"]
    assert len(groups) == 9
    assert {"PA", "other"} <= set(groups)


def test_an_attribute_that_the_files_do_not_give_is_left_out(draw: Draw) -> None:
    predictions, table = draw()
    table["sex"] = None
    evaluation = run((predictions, table))
    assert {group.attribute for group in evaluation.subgroups} == {"age", "view"}


def test_shuffled_targets_give_one_half_and_the_spread_of_chance(draw: Draw, monkeypatch: pytest.MonkeyPatch) -> None:
    predictions, table = draw(patients=200)
    evaluation = run((predictions, table))
    shuffled = next(baseline for baseline in evaluation.baselines if baseline.name == "shuffled targets")
    assert shuffled.auroc is not None
    assert shuffled.auroc.estimate.value == pytest.approx(0.5, abs=0.01)
    monkeypatch.setattr(Ranking, "score", lambda *_: (0.9, 0.9))  # it goes the way of the reported numbers
    broken = run((predictions, table)).baselines[1]
    assert broken.auroc is not None
    assert broken.auroc.estimate.value == pytest.approx(0.9)
    assert shuffled.auroc.estimate.low < 0.5 < shuffled.auroc.estimate.high
    generator = np.random.default_rng(0)
    pairs = list(zip(predictions.targets.T, predictions.probabilities.T, strict=True))
    loop = [np.mean([roc_auc_score(generator.permutation(t), p) for t, p in pairs]) for _ in range(200)]
    assert shuffled.auroc.estimate.high == pytest.approx(np.quantile(loop, 0.975), abs=0.015)


def test_the_metadata_model_finds_what_depends_on_sex_and_sees_no_image(draw: Draw) -> None:
    predictions, table = draw(1, patients=300)
    _, train = draw(2, patients=300)
    for rows in (table, train):
        chance = np.random.default_rng(3).random(len(rows))
        rows["Mass"] = ((rows["sex"] == "M").to_numpy() & (chance < 0.8)).astype(np.float32)
    predictions.targets[:, 0] = table["Mass"]
    evaluation = evaluate_predictions(inputs_of(predictions, table, train), replicates=50)
    baseline = evaluation.baselines[0]
    assert baseline.by_label["Mass"] > 0.85
    assert abs(baseline.by_label["Edema"] - 0.5) < 0.12

    def features(rows: pd.DataFrame) -> np.ndarray:
        age = (rows["age"] - train["age"].mean()) / train["age"].std(ddof=0)
        columns = [rows["sex"] == "F", rows["sex"] == "M", rows["view_position"] == "AP", rows["view_position"] == "PA"]
        return np.stack([np.ones(len(rows)), *columns, age, age**2], axis=1).astype(float)

    theirs = LogisticRegression(fit_intercept=False, C=1.0, tol=1e-8).fit(features(train), train["Mass"])
    scores = theirs.decision_function(features(table))
    assert baseline.by_label["Mass"] == pytest.approx(roc_auc_score(table["Mass"], scores), abs=1e-6)


def test_the_metadata_model_is_absent_without_a_training_table_or_without_metadata(draw: Draw) -> None:
    predictions, table = draw()
    baseline = run((predictions, table)).baselines[0]
    assert baseline.auroc is None
    assert "no table of training images" in sentence(baseline.reason)
    bare = table.assign(sex=None, age=math.nan, view_position=None)
    baseline = evaluate_predictions(inputs_of(predictions, bare, bare), replicates=50).baselines[0]
    assert baseline.auroc is None
    assert "no view, age or sex" in sentence(baseline.reason)
