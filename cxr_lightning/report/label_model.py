"""The types of metrics.json's part about one finding: each key's type, meaning and bounds."""

from typing import Annotated

from pydantic import Field

from cxr_lightning.metrics.calibration import CalibrationMethod
from cxr_lightning.report.json_model import EstimateJson, JsonModel, MetricJson
from cxr_lightning.utils.typed_values import NULL_IF_UNDEFINED, Count, Fraction, Number


class CalibrationJson(JsonModel):
    """calibrated = sigmoid(slope * logit(p) + intercept), fitted on validation images."""

    method: CalibrationMethod
    """`none` leaves probabilities unchanged; `temperature` fits the slope, `platt` the intercept too."""
    slope: Number
    """Factor on the log odds of the raw probability."""
    intercept: Number
    """Log odds that are added after the slope."""
    reason: str
    """Why the label is not calibrated, or the methods' losses on validation images."""
    brier: Fraction
    """Brier score of calibrated probabilities."""
    ece: Fraction
    """Expected calibration error of calibrated probabilities."""


class PredictiveValuesJson(JsonModel):
    """Predictive values in a population of some prevalence."""

    prevalence: Fraction
    """Fraction of images with the finding in the population."""
    ppv: Fraction
    """Fraction of alerts whose image has the finding."""
    npv: Fraction
    """Fraction of images without an alert that lack the finding."""
    alerts_per_1000: Annotated[Annotated[float, Field(ge=0, le=1000)] | None, NULL_IF_UNDEFINED]
    """Number of alerts in a thousand images."""


class OperatingPointJson(JsonModel):
    """A threshold chosen on validation images, and its results on the evaluated images."""

    threshold: Number
    """Raw probability from which on an image is predicted positive."""
    calibrated_threshold: Number
    """Calibrated probability at the threshold."""
    true_positives: Count
    """Number of images with the finding that are predicted positive."""
    false_positives: Count
    """Number of images without the finding that are predicted positive."""
    true_negatives: Count
    """Number of images without the finding that are predicted negative."""
    false_negatives: Count
    """Number of images with the finding that are predicted negative."""
    sensitivity: EstimateJson
    """Fraction of images with the finding that are predicted positive."""
    specificity: EstimateJson
    """Fraction of images without the finding that are predicted negative."""
    at_prevalence: tuple[PredictiveValuesJson, ...]
    """Predictive values at the prevalence in the evaluated images, first, and at the requested prevalences."""


class LabelJson(JsonModel):
    """Metrics of one finding."""

    n: Count
    """Number of images with a known target."""
    positives: Count
    """Number of images with the finding."""
    prevalence: Fraction
    """Fraction of positives among the images with a known target."""
    auroc: EstimateJson
    """Area under the ROC curve."""
    average_precision: EstimateJson
    """Area under the precision-recall curve, by steps."""
    brier: Fraction
    """Brier score of raw probabilities."""
    ece: Fraction
    """Expected calibration error of raw probabilities."""
    calibration: CalibrationJson | None
    """Calibration of the probabilities; null where none was fitted."""
    operating_points: dict[str, OperatingPointJson] | None
    """Operating points by the rule that chose the threshold; null where nothing was fitted."""
    metrics: dict[str, MetricJson] = Field(default_factory=dict)
    """Values of further metrics, by name; absent without any."""
