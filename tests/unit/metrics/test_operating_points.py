"""Thresholds against exhaustive search, confusion counts against scikit-learn, Bayes' rule by counting."""

import math

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, f1_score

from cxr_lightning.metrics.bootstrap import draw_patients, proportion
from cxr_lightning.metrics.operating_points import (
    ThresholdRule,
    confusion,
    parse_rules,
    predictive_values,
    select_threshold,
)
from cxr_lightning.metrics.ranking import FloatArray


def draw(seed: int, size: int = 300, decimals: int = 2) -> tuple[FloatArray, FloatArray]:
    generator = np.random.default_rng(seed)
    targets = (generator.random(size) < 0.25).astype(float)
    scores: FloatArray = generator.normal(0.4 + 0.2 * targets, 0.15).clip(0, 1).round(decimals)
    return scores, targets


def rates(scores: FloatArray, targets: FloatArray, threshold: float) -> tuple[float, float]:
    predicted = scores >= threshold
    return float(predicted[targets == 1].mean()), float((~predicted)[targets == 0].mean())


def rule(name: str) -> ThresholdRule:
    return parse_rules([name])[0]


@pytest.mark.parametrize("seed", range(4))
def test_thresholds_are_those_of_an_exhaustive_search(seed: int) -> None:
    scores, targets = draw(seed)
    every = np.unique(scores)
    found = {name: select_threshold(rule(name), scores, targets) for name in ("youden", "f1")}
    assert sum(rates(scores, targets, found["youden"])) == max(sum(rates(scores, targets, t)) for t in every)
    best = max(f1_score(targets, scores >= t) for t in every)
    assert f1_score(targets, scores >= found["f1"]) == pytest.approx(best)
    sensitive = select_threshold(rule("sensitivity@0.95"), scores, targets)
    assert sensitive == max(t for t in every if rates(scores, targets, t)[0] >= 0.95)
    specific = select_threshold(rule("specificity@0.9"), scores, targets)
    assert specific == min(t for t in every if rates(scores, targets, t)[1] >= 0.9)


def test_a_specificity_that_ties_forbid_predicts_nothing_positive() -> None:
    scores, targets = np.full(4, 0.5), np.array([1.0, 0, 0, 0])
    threshold = select_threshold(rule("specificity@0.9"), scores, targets)
    assert threshold > 0.5
    assert confusion(scores, targets, threshold).true_negatives == 3


@pytest.mark.parametrize("targets", [[1.0, 1], [0.0, 0], [math.nan, math.nan], [1.0, math.nan]])
def test_there_is_no_threshold_without_both_sides(targets: list[float]) -> None:
    for name in ("youden", "f1", "sensitivity@0.5", "specificity@0.5"):
        assert math.isnan(select_threshold(rule(name), np.array([0.2, 0.8]), np.array(targets)))


def test_confusion_equals_scikit_learn_and_excludes_the_unknown() -> None:
    scores, targets = draw(5)
    targets[:7] = math.nan
    found = confusion(scores, targets, 0.5)
    (tn, fp), (fn, tp) = confusion_matrix(targets[7:], scores[7:] >= 0.5)
    assert (found.true_negatives, found.false_positives) == (tn, fp)
    assert (found.false_negatives, found.true_positives) == (fn, tp)


def test_bayes_rule_is_counting_in_a_set_of_that_prevalence() -> None:
    # 10,000 images, 200 with the finding, 180 of these caught; 980 of 9,800 others predicted positive too.
    found = predictive_values(0.9, 0.9, 0.02)
    assert found.ppv == pytest.approx(180 / (180 + 980))
    assert found.npv == pytest.approx(8820 / (8820 + 20))
    assert found.alerts_per_1000 == pytest.approx((180 + 980) / 10)
    nothing = predictive_values(0.0, 1.0, 0.02)
    assert math.isnan(nothing.ppv)
    assert nothing.npv == pytest.approx(0.98)


def test_a_required_sensitivity_is_reached_on_other_images_within_its_interval() -> None:
    reached, trials = 0, 100
    for trial in range(trials):
        fitted_on, applied_to = draw(trial, size=2000, decimals=6), draw(1000 + trial, size=2000, decimals=6)
        threshold = select_threshold(rule("sensitivity@0.95"), *fitted_on)
        scores, targets = applied_to
        resampling = draw_patients([str(number) for number in range(2000)], 200, trial)
        interval = proportion(scores >= threshold, targets == 1, resampling)
        assert interval.value > 0.9
        # The threshold itself scatters as much as the test's sensitivity does: widen the interval by the root of two.
        middle, half = interval.value, (interval.high - interval.low) / 2 * math.sqrt(2)
        reached += middle - half <= 0.95 <= middle + half
    assert reached / trials >= 0.88  # 95 % expected, standard deviation 2 %


@pytest.mark.parametrize("name", ["yuden", "sensitivity", "sensitivity@", "sensitivity@1.5", "specificity@0", "f1@0.5"])
def test_an_unknown_rule_is_refused_with_an_example(name: str) -> None:
    with pytest.raises(ValueError, match=r"youden, f1, sensitivity@X .* but got .*operating_points=\[youden"):
        parse_rules([name])


def test_a_rule_given_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="every operating point once"):
        parse_rules(["f1", "f1"])
