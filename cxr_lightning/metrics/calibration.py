"""Calibration: errors of probabilities, and maps that correct them without changing their order."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cxr_lightning.metrics.logistic import fit_logistic, log_loss, sigmoid
from cxr_lightning.metrics.ranking import FloatArray, scored_rows

CalibrationMethod = Literal["none", "temperature", "platt"]

ECE_BINS = 15
MIN_PATIENTS = 10
"""Minimum number of patients with the finding, and of those without it, for a label to be calibrated."""

_FOLDS = 5
_MIN_PROBABILITY, _MAX_PROBABILITY = 1e-45, 1 - 2**-53  # float32's smallest number; float64's largest number below 1
_MIN_SLOPE = 1e-3


def brier(probabilities: FloatArray, targets: FloatArray) -> float:
    """Brier score: mean squared difference of probability and target.

    Args:
        probabilities: ``(N,)`` in [0, 1].
        targets: ``(N,)``; 1, 0 or NaN (unknown, excluded).

    Returns:
        In [0, 1], 0 is best; NaN if nothing is known.

    Example:
        >>> brier(np.array([0.5, 1.0]), np.array([0.0, 1.0]))
        0.125
    """
    known = scored_rows(probabilities, targets)
    return float(np.mean((probabilities[known] - targets[known]) ** 2)) if known.any() else float("nan")


def expected_calibration_error(probabilities: FloatArray, targets: FloatArray) -> float:
    """Mean difference of probability and frequency over 15 bins of equal width, weighted by their images.

    Args:
        probabilities: Probability of the finding, ``(N,)`` in [0, 1].
        targets: ``(N,)``; 1, 0 or NaN (unknown, excluded).

    Returns:
        In [0, 1], 0 is best; NaN if nothing is known.

    References:
        Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, for one label instead of the top class.
    """
    known = scored_rows(probabilities, targets)
    if not known.any():
        return float("nan")
    bins = np.minimum((probabilities[known] * ECE_BINS).astype(int), ECE_BINS - 1)
    gaps = np.bincount(bins, probabilities[known] - targets[known], minlength=ECE_BINS)
    return float(np.abs(gaps).sum() / known.sum())


@dataclass(frozen=True)
class ReliabilityCurve:
    """Mean probability and observed frequency of the finding in each bin.

    Attributes:
        predicted: Mean probability in each bin, ``(B,)``.
        observed: Fraction of positives in each bin, ``(B,)``.
        images: Number of images in each bin, ``(B,)``.
    """

    predicted: FloatArray
    observed: FloatArray
    images: NDArray[np.int64]


def reliability_curve(probabilities: FloatArray, targets: FloatArray, bins: int = 10) -> ReliabilityCurve:
    """Compute the points of a reliability diagram from bins of (nearly) equal numbers of images.

    Tied probabilities stay in one bin, so there can be fewer bins.

    Args:
        probabilities: ``(N,)`` in [0, 1].
        targets: ``(N,)``; 1, 0 or NaN (unknown, excluded).
        bins: Maximum number of bins.
    """
    known = scored_rows(probabilities, targets)
    kept, truth = probabilities[known], targets[known]
    if not len(kept):
        return ReliabilityCurve(np.empty(0), np.empty(0), np.empty(0, dtype=np.int64))
    edges = np.unique(np.quantile(kept, np.linspace(0, 1, bins + 1)[1:-1], method="inverted_cdf"))
    bin_index = np.searchsorted(edges, kept, side="left")
    images = np.bincount(bin_index)
    filled = images > 0
    return ReliabilityCurve(
        (np.bincount(bin_index, kept) / np.maximum(images, 1))[filled],
        (np.bincount(bin_index, truth) / np.maximum(images, 1))[filled],
        images[filled],
    )


@dataclass(frozen=True)
class Calibrator:
    """Strictly increasing map of probabilities: ``sigmoid(slope * logit(p) + intercept)``.

    Attributes:
        method: ``none`` (unchanged), ``temperature`` (a slope) or ``platt`` (a slope and an intercept).
        slope: Factor on the log odds, above 0; 1 / temperature.
        intercept: Log odds that are added.
        reason: Why the label is not calibrated, or the methods' losses on validation.
    """

    method: CalibrationMethod = "none"
    slope: float = 1.0
    intercept: float = 0.0
    reason: str = ""

    def __call__(self, probabilities: FloatArray) -> FloatArray:
        """Return calibrated probabilities of the same shape."""
        if self.method == "none":
            return probabilities
        return sigmoid(self.slope * logit(probabilities) + self.intercept)


def logit(probabilities: FloatArray) -> FloatArray:
    """Log odds; 0 and 1 are replaced by the smallest float32 and the number before 1, so the result is finite."""
    clipped = np.clip(probabilities, _MIN_PROBABILITY, _MAX_PROBABILITY)
    odds: FloatArray = np.log(clipped) - np.log1p(-clipped)
    return odds


def fit_calibrator(
    probabilities: FloatArray, targets: FloatArray, patient_ids: NDArray[np.object_], seed: int
) -> Calibrator:
    """Fit the calibration that predicts held-out validation patients best: none, a temperature, or Platt scaling.

    The three are compared by cross-entropy in five-fold cross-validation over patients; the best is fitted on all.
    A label with too few patients on one side is not calibrated, nor is one whose scores fall with the finding.

    Args:
        probabilities: Probabilities of the validation images, ``(N,)`` in [0, 1].
        targets: ``(N,)``; 1, 0 or NaN (unknown, excluded).
        patient_ids: Patient of each image, ``(N,)``.
        seed: Seed of the folds.

    References:
        Guo et al., "On Calibration of Modern Neural Networks", ICML 2017 (temperature); Platt, "Probabilistic outputs
        for support vector machines", 1999 (slope and intercept, with his smoothed targets, used for both here).
    """
    known = scored_rows(probabilities, targets)
    if np.isnan(probabilities).all():
        return Calibrator(reason="there are no probabilities of it")
    logits, truth = logit(probabilities[known]), targets[known]
    patients = patient_ids[known].astype(str)
    scarcer = min(len(np.unique(patients[truth == side])) for side in (0, 1))
    if scarcer < MIN_PATIENTS:
        return Calibrator(reason=f"too few: {scarcer} patients on its scarcer side, {MIN_PATIENTS} wanted")
    folds = _folds(patient_ids[known], seed)
    losses: dict[str, float] = {"none": log_loss(logits, truth)}
    for method in ("temperature", "platt"):
        losses[method] = _held_out_loss(method, logits, truth, folds)
    best = min(losses, key=lambda method: losses[method])
    if best == "none":
        return Calibrator(reason="validation prefers it as it is")
    slope, intercept = _fit(best, logits, truth)
    if slope < _MIN_SLOPE:
        return Calibrator(reason="its scores do not rise with the finding on validation")
    compared = ", ".join(f"{method} {loss:.4f}" for method, loss in losses.items())
    return Calibrator(best, slope, intercept, f"validation cross-entropy: {compared}")  # type: ignore[arg-type]


def _folds(patient_ids: NDArray[np.object_], seed: int) -> NDArray[np.intp]:
    """Assign each image to one of five folds; a patient's images are in one fold."""
    names, patient_index = np.unique(patient_ids.astype(str), return_inverse=True)
    fold: NDArray[np.intp] = np.random.default_rng(seed).permutation(len(names)) % _FOLDS
    return fold[patient_index]


def _held_out_loss(method: str, logits: FloatArray, truth: FloatArray, folds: NDArray[np.intp]) -> float:
    predicted = np.empty_like(logits)
    for fold in np.unique(folds):
        held_out = folds == fold
        slope, intercept = _fit(method, logits[~held_out], truth[~held_out])
        predicted[held_out] = slope * logits[held_out] + intercept
    return log_loss(predicted, truth)


def _fit(method: str, logits: FloatArray, truth: FloatArray) -> tuple[float, float]:
    """Slope and intercept for Platt's smoothed targets: finite even for separable positives and negatives."""
    positives, negatives = truth.sum(), (1 - truth).sum()
    smooth = np.where(truth == 1, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    columns = [logits] if method == "temperature" else [logits, np.ones_like(logits)]
    fitted = fit_logistic(np.stack(columns, axis=1), smooth)
    return float(fitted[0]), float(fitted[1]) if len(fitted) > 1 else 0.0
