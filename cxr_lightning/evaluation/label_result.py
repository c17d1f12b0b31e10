"""Results of one finding as frozen dataclasses. An undefined number is NaN."""

from collections.abc import Mapping
from dataclasses import dataclass

from cxr_lightning.metrics.bootstrap import Estimate
from cxr_lightning.metrics.calibration import Calibrator, ReliabilityCurve
from cxr_lightning.metrics.operating_points import Confusion, PredictiveValues
from cxr_lightning.metrics.ranking import FloatArray


@dataclass(frozen=True)
class Curve:
    """Points of a curve, from the highest threshold to the lowest; empty if the curve is undefined.

    Attributes:
        x: False positive rate (ROC), or recall (precision-recall).
        y: True positive rate (ROC), or precision.
    """

    x: FloatArray
    y: FloatArray


@dataclass(frozen=True)
class OperatingPoint:
    """A threshold chosen on validation images, and its results on the evaluated images.

    Attributes:
        name: Name of the rule that chose the threshold, such as ``sensitivity@0.95``.
        threshold: Threshold on the raw probability.
        calibrated_threshold: Calibrated probability at the threshold.
        counts: True and false positives and negatives.
        sensitivity: Fraction of positives that are predicted positive.
        specificity: Fraction of negatives that are predicted negative.
        at: Predictive values at the prevalence in the evaluated images (first) and at the requested prevalences.
    """

    name: str
    threshold: float
    calibrated_threshold: float
    counts: Confusion
    sensitivity: Estimate
    specificity: Estimate
    at: tuple[PredictiveValues, ...]


@dataclass(frozen=True)
class CalibrationResult:
    """A label's calibration, and metrics of the calibrated probabilities.

    Attributes:
        calibrator: Calibrator that was fitted on validation images.
        brier: Brier score of calibrated probabilities.
        ece: Expected calibration error of calibrated probabilities.
        reliability: Points of the reliability diagram of calibrated probabilities.
    """

    calibrator: Calibrator
    brier: float
    ece: float
    reliability: ReliabilityCurve


@dataclass(frozen=True)
class LabelResult:
    """Metrics of one finding.

    Attributes:
        label: The finding's name.
        n: Number of images with a known target.
        positives: Number of positives among them.
        metrics: Value of each metric of the report, with its interval where it has one, by the metric's name.
        roc: ROC curve.
        precision_recall: Precision-recall curve.
        reliability: Reliability diagram of raw probabilities.
        calibration: Calibration; None if none was fitted.
        operating_points: Operating points; None if none were fitted.
    """

    label: str
    n: int
    positives: int
    metrics: Mapping[str, Estimate]
    roc: Curve
    precision_recall: Curve
    reliability: ReliabilityCurve
    calibration: CalibrationResult | None = None
    operating_points: tuple[OperatingPoint, ...] | None = None

    @property
    def prevalence(self) -> float:
        """Fraction of positives among the images with a known target; NaN if there are none."""
        return self.positives / self.n if self.n else float("nan")

    @property
    def auroc(self) -> Estimate:
        """Area under the ROC curve."""
        return self.metrics["auroc"]

    @property
    def average_precision(self) -> Estimate:
        """Area under the precision-recall curve, by steps."""
        return self.metrics["average_precision"]

    @property
    def brier(self) -> float:
        """Brier score of raw probabilities."""
        return self.metrics["brier"].value

    @property
    def ece(self) -> float:
        """Expected calibration error of raw probabilities."""
        return self.metrics["ece"].value
