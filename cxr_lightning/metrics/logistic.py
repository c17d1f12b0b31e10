"""Logistic regression by Newton's method: convex, a few columns, the same answer every time."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_STEPS = 100
_CONVERGED = 1e-10


def sigmoid(logits: Array) -> Array:
    """The logistic function, without overflow."""
    small = np.exp(-np.abs(logits))
    result: Array = np.where(logits >= 0, 1, small) / (1 + small)
    return result


def log_loss(logits: Array, targets: Array) -> float:
    """Mean cross-entropy of targets in [0, 1] under logits, each ``(N,)``; finite for finite logits."""
    return float(np.mean(np.logaddexp(0, logits) - targets * logits))


def fit_logistic(features: Array, targets: Array, *, penalty: float = 0.0) -> Array:
    """The coefficients that minimise the mean cross-entropy plus ``penalty`` / (2 N) times their squares' sum.

    Args:
        features: ``(N, F)``; a column of ones where an intercept is wanted.
        targets: ``(N,)`` in [0, 1].
        penalty: On all coefficients; above 0, the minimum is finite and unique.

    Returns:
        ``(F,)``.

    Example:
        >>> ones = np.ones((4, 1))
        >>> fit_logistic(ones, np.array([1.0, 1, 1, 0])).round(4)  # log(3)
        array([1.0986])
    """
    size, columns = features.shape
    coefficients = np.zeros(columns)
    ridge = penalty / size

    def loss(at: Array) -> float:
        return log_loss(features @ at, targets) + float(ridge / 2 * (at @ at))

    best = loss(coefficients)
    for _ in range(_STEPS):
        probabilities = sigmoid(features @ coefficients)
        gradient = features.T @ (probabilities - targets) / size + ridge * coefficients
        curvature = (features.T * (probabilities * (1 - probabilities))) @ features / size + ridge * np.eye(columns)
        step = np.linalg.lstsq(curvature, gradient, rcond=None)[0]
        length = 1.0
        while loss(coefficients - length * step) > best and length > _CONVERGED:
            length /= 2
        coefficients = coefficients - length * step
        improved = best - loss(coefficients)
        best -= improved
        if improved < _CONVERGED * 1e-4:
            break
    return coefficients
