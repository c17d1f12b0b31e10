"""Logistic regression with few features by Newton's method, which is convex and deterministic."""

import numpy as np

from cxr_lightning.metrics.ranking import FloatArray

_MAX_STEPS = 100
_TOLERANCE = 1e-10


def sigmoid(logits: FloatArray) -> FloatArray:
    """Logistic function, without overflow."""
    exponential = np.exp(-np.abs(logits))
    result: FloatArray = np.where(logits >= 0, 1, exponential) / (1 + exponential)
    return result


def log_loss(logits: FloatArray, targets: FloatArray) -> float:
    """Mean cross-entropy of targets in [0, 1] under logits, each ``(N,)``; finite for finite logits."""
    return float(np.mean(np.logaddexp(0, logits) - targets * logits))


def fit_logistic(features: FloatArray, targets: FloatArray, *, penalty: float = 0.0) -> FloatArray:
    """Fit the coefficients that minimize the mean cross-entropy plus ``penalty`` / (2 N) times their sum of squares.

    Args:
        features: ``(N, F)``, with a column of ones for an intercept.
        targets: ``(N,)`` in [0, 1].
        penalty: Strength of the L2 penalty on all coefficients; above 0, the minimum is finite and unique.

    Returns:
        Coefficients, ``(F,)``.

    Example:
        >>> ones = np.ones((4, 1))
        >>> fit_logistic(ones, np.array([1.0, 1, 1, 0])).round(4)  # log(3)
        array([1.0986])
    """
    size, columns = features.shape
    coefficients = np.zeros(columns)
    ridge = penalty / size

    def loss(at: FloatArray) -> float:
        return log_loss(features @ at, targets) + float(ridge / 2 * (at @ at))

    best = loss(coefficients)
    for _ in range(_MAX_STEPS):
        probabilities = sigmoid(features @ coefficients)
        gradient = features.T @ (probabilities - targets) / size + ridge * coefficients
        curvature = (features.T * (probabilities * (1 - probabilities))) @ features / size + ridge * np.eye(columns)
        step = np.linalg.lstsq(curvature, gradient, rcond=None)[0]
        length = 1.0
        while loss(coefficients - length * step) > best and length > _TOLERANCE:
            length /= 2
        coefficients = coefficients - length * step
        improved = best - loss(coefficients)
        best -= improved
        if improved < _TOLERANCE * 1e-4:
            break
    return coefficients
