"""What a quantized model loses: AUROC beside the model in float32, on the same labeled images."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cxr_lightning.evaluation.comparison import AurocDifference, Comparison, compare_predictions
from cxr_lightning.evaluation.evaluate import MIN_IMAGES
from cxr_lightning.inference.predictions import Predictions
from cxr_lightning.metrics.bootstrap import Estimate
from cxr_lightning.metrics.ranking import FloatArray

MAX_MEAN_LOSS = 0.001
"""Accepted loss of the mean AUROC over the findings."""
_MAX_ACCEPTED = 0.1
_ROUNDING = 1e-9
"""Differences of AUROC that come from rounding alone."""


@dataclass(frozen=True)
class QuantizationCheck:
    """A quantized model beside the model in float32.

    Attributes:
        comparison: AUROC of float32 (first) and int8 (second).
        max_loss: Accepted loss of a finding's AUROC.
        minority: Number of positives or negatives, whichever is less, by finding.
        mean_probability_difference: Mean absolute difference of the raw probabilities.
        max_probability_difference: Largest absolute difference of the raw probabilities.
    """

    comparison: Comparison
    max_loss: float
    minority: dict[str, int]
    mean_probability_difference: float
    max_probability_difference: float

    @property
    def refused_labels(self) -> tuple[str, ...]:
        """The findings whose AUROC falls by more than is accepted."""
        losses = {label: auroc_loss(one).value for label, one in self.comparison.by_label.items()}
        return tuple(label for label, loss in losses.items() if loss > self.max_loss + _ROUNDING)

    @property
    def mean_refused(self) -> bool:
        """Whether the mean AUROC falls by more than is accepted."""
        return auroc_loss(self.comparison.mean).value > MAX_MEAN_LOSS + _ROUNDING

    @property
    def few(self) -> tuple[str, ...]:
        """The findings with few positives or few negatives, whose loss is hardly known."""
        return tuple(label for label, images in self.minority.items() if 0 < images < MIN_IMAGES)


def auroc_loss(result: AurocDifference) -> Estimate:
    """First less second AUROC, with its interval; NaN where undefined."""
    difference = result.difference
    return Estimate(0.0 - difference.value, 0.0 - difference.high, 0.0 - difference.low)


def check_max_loss(max_loss: float) -> None:
    """Refuse a loss of AUROC that nobody accepts.

    Raises:
        ValueError: If it is not in [0, 0.1].
    """
    if not 0 <= max_loss <= _MAX_ACCEPTED:
        raise ValueError(f"Expected --max-loss in [0, {_MAX_ACCEPTED}] but got {max_loss:g}. 0.002 is the default.")


def smaller_counts(targets: FloatArray, labels: Sequence[str]) -> dict[str, int]:
    """Number of positives or of negatives, whichever is less, by finding.

    Args:
        targets: ``(N, C)``; 1, 0 or NaN (unknown).
        labels: C names.
    """
    return {
        label: int(min((column == 1).sum(), (column == 0).sum()))
        for label, column in zip(labels, targets.T, strict=True)
    }


def refuse_few_labels(targets: FloatArray, labels: Sequence[str], source: object) -> None:
    """Refuse a labeled set in which no finding has enough positives and negatives.

    Args:
        targets: ``(N, C)``; 1, 0 or NaN (unknown).
        labels: C names, of findings that the model was trained on.
        source: The set, for the message.

    Raises:
        ValueError: If no finding has as many as the report asks for.
    """
    counts = smaller_counts(targets, labels)
    if max(counts.values(), default=0) < MIN_IMAGES:
        raise ValueError(
            f"Expected a finding with at least {MIN_IMAGES} positives and {MIN_IMAGES} negatives among the "
            f"{len(targets):,} checked images of '{source}' but none has as many: a loss of AUROC would not be seen. "
            "Give a larger labeled set."
        )


def check_quantization(
    float32: Predictions, int8: Predictions, *, max_loss: float, replicates: int = 2000, seed: int = 0
) -> QuantizationCheck:
    """Compare a quantized model with the model in float32.

    Args:
        float32: Predictions of N images by the model in float32.
        int8: Predictions of the same images by the quantized model.
        max_loss: Accepted loss of a finding's AUROC.
        replicates: Number of replicates of the bootstrap over patients.
        seed: Seed of the bootstrap.

    Raises:
        ValueError: If AUROC is undefined for every finding.
    """
    comparison = compare_predictions(float32, int8, replicates=replicates, seed=seed)
    if math.isnan(comparison.mean.difference.value):
        raise ValueError(
            "Expected a finding that the model was trained on, with positives and negatives among the checked images, "
            "but AUROC is undefined for all. Give a larger labeled set."
        )
    differences = np.abs(float32.probabilities - int8.probabilities)
    return QuantizationCheck(
        comparison,
        max_loss,
        smaller_counts(float32.targets, float32.labels),
        float(np.nanmean(differences)),
        float(np.nanmax(differences)),
    )
