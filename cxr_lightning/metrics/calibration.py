"""Do probabilities mean what they say? Their error, and maps that correct them without changing the order."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cxr_lightning.metrics.logistic import Array, fit_logistic, log_loss, sigmoid

Method = Literal["none", "temperature", "platt"]

ECE_BINS = 15
FEWEST = 10
"""Patients with the finding, and without, that a label must have; it is left alone otherwise."""

_FOLDS = 5
_LOWEST, _HIGHEST = 1e-45, 1 - 2**-53  # float32's smallest number; the one before 1
_LEAST_SLOPE = 1e-3


def brier(probabilities: Array, targets: Array) -> float:
    """Mean squared difference of probability and truth.

    Args:
        probabilities: ``(N,)`` in [0, 1].
        targets: ``(N,)``; 1, 0 or NaN (unknown, left out).

    Returns:
        In [0, 1], 0 is best; NaN if nothing is known.

    Example:
        >>> brier(np.array([0.5, 1.0]), np.array([0.0, 1.0]))
        0.125
    """
    known = ~np.isnan(targets)
    return float(np.mean((probabilities[known] - targets[known]) ** 2)) if known.any() else float("nan")


def expected_calibration_error(probabilities: Array, targets: Array) -> float:
    """How far probabilities are from frequencies: over 15 bins of equal width, weighted by their images.

    Args:
        probabilities: Of the finding, ``(N,)`` in [0, 1].
        targets: ``(N,)``; 1, 0 or NaN (unknown, left out).

    Returns:
        In [0, 1], 0 is best; NaN if nothing is known.

    References:
        Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, for one label instead of the top class.
    """
    known = ~np.isnan(targets)
    if not known.any():
        return float("nan")
    bins = np.minimum((probabilities[known] * ECE_BINS).astype(int), ECE_BINS - 1)
    gaps = np.bincount(bins, probabilities[known] - targets[known], minlength=ECE_BINS)
    return float(np.abs(gaps).sum() / known.sum())


@dataclass(frozen=True)
class Reliability:
    """Mean probability and frequency of the finding in bins.

    Attributes:
        predicted: Mean probability in each bin, ``(B,)``.
        observed: Share of positives in each bin, ``(B,)``.
        images: In each bin, ``(B,)``.
    """

    predicted: Array
    observed: Array
    images: NDArray[np.int64]


def reliability(probabilities: Array, targets: Array, bins: int = 10) -> Reliability:
    """The points of a reliability diagram: bins of (nearly) equal numbers of images, so that each point says as much.

    Tied probabilities are not divided, so that there can be fewer bins.

    Args:
        probabilities: ``(N,)`` in [0, 1].
        targets: ``(N,)``; 1, 0 or NaN (unknown, left out).
        bins: At most.
    """
    known = ~np.isnan(targets)
    kept, truth = probabilities[known], targets[known]
    if not len(kept):
        return Reliability(np.empty(0), np.empty(0), np.empty(0, dtype=np.int64))
    edges = np.unique(np.quantile(kept, np.linspace(0, 1, bins + 1)[1:-1], method="inverted_cdf"))
    place = np.searchsorted(edges, kept, side="left")
    images = np.bincount(place)
    used = images > 0
    return Reliability(
        (np.bincount(place, kept) / np.maximum(images, 1))[used],
        (np.bincount(place, truth) / np.maximum(images, 1))[used],
        images[used],
    )


@dataclass(frozen=True)
class Calibrator:
    """A strictly increasing map of probabilities: ``sigmoid(slope * logit(p) + intercept)``.

    Attributes:
        method: ``none`` (unchanged), ``temperature`` (a slope) or ``platt`` (a slope and an intercept).
        slope: Above 0; 1 / temperature.
        intercept: Log odds added.
        reason: Why there is none, or what validation said.
    """

    method: Method = "none"
    slope: float = 1.0
    intercept: float = 0.0
    reason: str = ""

    def __call__(self, probabilities: Array) -> Array:
        """Calibrated probabilities, of the same shape."""
        if self.method == "none":
            return probabilities
        return sigmoid(self.slope * logit(probabilities) + self.intercept)


def logit(probabilities: Array) -> Array:
    """Log odds; 0 and 1 are taken as the smallest float32 and the number before 1, so that they stay finite."""
    clipped = np.clip(probabilities, _LOWEST, _HIGHEST)
    odds: Array = np.log(clipped) - np.log1p(-clipped)
    return odds


def fit_calibrator(probabilities: Array, targets: Array, patient_ids: NDArray[np.object_], seed: int) -> Calibrator:
    """The map that predicts held-out validation patients best: none, a temperature, or Platt's.

    The three are compared by cross-entropy in five-fold cross-validation over patients; the winner is fitted on all.
    A label with too few patients on one side is left alone, and so is one whose scores point the wrong way.

    Args:
        probabilities: Validation, ``(N,)`` in [0, 1].
        targets: ``(N,)``; 1, 0 or NaN (unknown, left out).
        patient_ids: ``(N,)``.
        seed: Draws the folds.

    References:
        Guo et al., "On Calibration of Modern Neural Networks", ICML 2017 (temperature); Platt, "Probabilistic outputs
        for support vector machines", 1999 (slope and intercept, with his smoothed targets, used for both here).
    """
    known = ~np.isnan(targets)
    logits, truth = logit(probabilities[known]), targets[known]
    patients = patient_ids[known].astype(str)
    scarcer = min(len(np.unique(patients[truth == side])) for side in (0, 1))
    if scarcer < FEWEST:
        return Calibrator(reason=f"too few: {scarcer} patients on its scarcer side, {FEWEST} wanted")
    folds = _folds(patient_ids[known], seed)
    losses: dict[str, float] = {"none": log_loss(logits, truth)}
    for method in ("temperature", "platt"):
        losses[method] = _held_out_loss(method, logits, truth, folds)
    best = min(losses, key=lambda method: losses[method])
    if best == "none":
        return Calibrator(reason="validation prefers it as it is")
    slope, intercept = _fit(best, logits, truth)
    if slope < _LEAST_SLOPE:
        return Calibrator(reason="its scores do not rise with the finding on validation")
    compared = ", ".join(f"{method} {loss:.4f}" for method, loss in losses.items())
    return Calibrator(best, slope, intercept, f"validation cross-entropy: {compared}")  # type: ignore[arg-type]


def _folds(patient_ids: NDArray[np.object_], seed: int) -> NDArray[np.intp]:
    """Which of five parts each image is in; a patient's images are in one."""
    names, patient = np.unique(patient_ids.astype(str), return_inverse=True)
    part: NDArray[np.intp] = np.random.default_rng(seed).permutation(len(names)) % _FOLDS
    return part[patient]


def _held_out_loss(method: str, logits: Array, truth: Array, folds: NDArray[np.intp]) -> float:
    predicted = np.empty_like(logits)
    for fold in np.unique(folds):
        held_out = folds == fold
        slope, intercept = _fit(method, logits[~held_out], truth[~held_out])
        predicted[held_out] = slope * logits[held_out] + intercept
    return log_loss(predicted, truth)


def _fit(method: str, logits: Array, truth: Array) -> tuple[float, float]:
    """Slope and intercept, on Platt's smoothed targets: finite even where the two sides are separable."""
    positives, negatives = truth.sum(), (1 - truth).sum()
    smooth = np.where(truth == 1, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    columns = [logits] if method == "temperature" else [logits, np.ones_like(logits)]
    fitted = fit_logistic(np.stack(columns, axis=1), smooth)
    return float(fitted[0]), float(fitted[1]) if len(fitted) > 1 else 0.0
