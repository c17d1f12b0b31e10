"""Calibration errors and maps against torchmetrics, scikit-learn and simulation."""

import math

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss
from torchmetrics.functional.classification import binary_calibration_error

from cxr_lightning.metrics.calibration import (
    Calibrator,
    brier,
    expected_calibration_error,
    fit_calibrator,
    logit,
    reliability_curve,
)
from cxr_lightning.metrics.logistic import fit_logistic, sigmoid
from cxr_lightning.metrics.ranking import FloatArray, auroc, average_precision


def simulate(seed: int, size: int = 4000, *, slope: float = 1.0, shift: float = 0.0) -> tuple[FloatArray, FloatArray]:
    """Probabilities whose log odds are a slope and a shift away from the truth."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(-1.5, 1.2, size)
    return sigmoid(slope * logits + shift), (generator.random(size) < sigmoid(logits)).astype(float)


def names(size: int) -> np.ndarray:
    return np.array([f"p{number}" for number in range(size)], dtype=object)


def test_errors_equal_scikit_learn_and_torchmetrics() -> None:
    probabilities, targets = simulate(0, slope=2.0)
    assert brier(probabilities, targets) == pytest.approx(brier_score_loss(targets, probabilities), abs=1e-9)
    theirs = binary_calibration_error(torch.tensor(probabilities), torch.tensor(targets).long(), n_bins=15, norm="l1")
    assert expected_calibration_error(probabilities, targets) == pytest.approx(float(theirs), abs=1e-6)


def test_errors_by_hand() -> None:
    probabilities, targets = np.array([0.05, 0.06, 0.9, 1.0, 0.5]), np.array([0.0, 1, 1, 1, math.nan])
    assert brier(probabilities, targets) == pytest.approx((0.05**2 + 0.94**2 + 0.1**2) / 4)
    # Bins of 1/15: the first holds .05 and .06 (observed .5, gap .445); .9 and 1.0 stand alone (gaps .1 and 0).
    assert expected_calibration_error(probabilities, targets) == pytest.approx((2 * 0.445 + 0.1) / 4)


def test_errors_are_nan_where_nothing_is_known() -> None:
    assert math.isnan(brier(np.array([0.5]), np.array([math.nan])))
    assert math.isnan(expected_calibration_error(np.array([0.5]), np.array([math.nan])))
    assert len(reliability_curve(np.array([0.5]), np.array([math.nan])).images) == 0


def test_reliability_points_hold_all_images_in_nearly_equal_parts() -> None:
    probabilities, targets = simulate(1, size=1003)
    found = reliability_curve(probabilities, targets)
    assert len(found.images) == 10
    assert found.images.sum() == 1003
    assert found.images.max() - found.images.min() <= 2
    assert found.images @ found.observed == pytest.approx(targets.sum())
    assert found.images @ found.predicted == pytest.approx(probabilities.sum())
    assert list(reliability_curve(np.full(9, 0.2), targets[:9]).images) == [9]  # ties stay together


def test_logistic_regression_equals_scikit_learn() -> None:
    generator = np.random.default_rng(0)
    features = generator.normal(size=(300, 3))
    targets = (generator.random(300) < sigmoid(features @ np.array([1.0, -2, 0.5]))).astype(float)
    theirs = LogisticRegression(C=1 / 2.0, fit_intercept=False, tol=1e-10).fit(features, targets).coef_[0]
    assert fit_logistic(features, targets, penalty=2.0) == pytest.approx(theirs, abs=1e-5)


def test_platt_is_found_where_slope_and_shift_are_wrong_and_mends_them() -> None:
    probabilities, targets = simulate(2, slope=0.5, shift=1.0)
    found = fit_calibrator(probabilities, targets, names(4000), seed=0)
    assert found.method == "platt"
    # The truth is (logit - 1) / 0.5; standard errors are about .08 and .06.
    assert found.slope == pytest.approx(2.0, abs=0.25)
    assert found.intercept == pytest.approx(-2.0, abs=0.25)


def test_temperature_is_found_where_only_the_slope_is_wrong() -> None:
    found = fit_calibrator(*simulate(3, slope=3.0), names(4000), seed=0)
    assert found.method == "temperature"
    assert found.slope == pytest.approx(1 / 3, abs=0.03)
    assert found.intercept == 0


@pytest.mark.parametrize(("slope", "shift"), [(0.5, 1.0), (3.0, 0.0), (1.0, 2.0)])
def test_calibration_lowers_the_error_on_other_images_and_leaves_their_order(slope: float, shift: float) -> None:
    calibrator = fit_calibrator(*simulate(4, slope=slope, shift=shift), names(4000), seed=0)
    probabilities, targets = simulate(5, slope=slope, shift=shift)
    calibrated = calibrator(probabilities)
    before, after = (expected_calibration_error(p, targets) for p in (probabilities, calibrated))
    assert after < before / 3
    assert brier(calibrated, targets) < brier(probabilities, targets)
    assert auroc(calibrated, targets) == auroc(probabilities, targets)
    assert average_precision(calibrated, targets) == average_precision(probabilities, targets)


def test_a_label_with_too_few_positives_is_left_alone() -> None:
    probabilities, targets = simulate(6, slope=0.3, shift=2.0)
    positives = np.flatnonzero(targets == 1)
    targets[positives[9:]] = 0
    found = fit_calibrator(probabilities, targets, names(4000), seed=0)
    assert found.method == "none"
    assert "too few: 9" in found.reason
    assert (found(probabilities) == probabilities).all()
    targets[positives[9]] = 1
    assert fit_calibrator(probabilities, targets, names(4000), seed=0).method == "platt"


def test_images_of_few_patients_are_too_few() -> None:
    probabilities, targets = simulate(6, slope=0.3, shift=2.0)
    patients = names(4000)
    patients[targets == 1] = "one"
    found = fit_calibrator(probabilities, targets, patients, seed=0)
    assert found.method == "none"
    assert "1 patients" in found.reason


def test_scores_that_point_the_wrong_way_are_left_alone() -> None:
    probabilities, targets = simulate(7)
    assert fit_calibrator(1 - probabilities, targets, names(4000), seed=0).method == "none"


def test_separable_and_extreme_probabilities_stay_finite_and_in_order() -> None:
    probabilities = np.array([0.0] * 30 + [1e-40] * 30 + [1 - 1e-9] * 30 + [1.0] * 30)
    targets = np.array([0.0] * 60 + [1.0] * 60)
    calibrated = fit_calibrator(probabilities, targets, names(120), seed=0)(probabilities)
    assert np.isfinite(calibrated).all()
    assert (np.diff(calibrated) >= 0).all()
    assert np.isfinite(logit(np.array([0.0, 1.0]))).all()
    assert Calibrator("temperature", 0.5)(np.array([0.0, 1.0])).tolist() == pytest.approx([0, 1], abs=1e-7)


def test_order_survives_for_every_float32_probability() -> None:
    scores = np.unique(np.float32(1) / (1 + np.exp(np.linspace(-60, 16, 5000, dtype=np.float32))))
    calibrated = Calibrator("platt", 0.7, -1.3)(scores.astype(np.float64))
    assert (np.diff(calibrated) > 0).all()
