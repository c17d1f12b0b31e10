"""Results of an evaluation as frozen dataclasses. An undefined number is NaN."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cxr_lightning.evaluation.comparability import Comparability
from cxr_lightning.evaluation.statements import Statement
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
        auroc: Area under the ROC curve.
        average_precision: Area under the precision-recall curve, by steps.
        brier: Brier score of raw probabilities.
        ece: Expected calibration error of raw probabilities.
        roc: ROC curve.
        precision_recall: Precision-recall curve.
        reliability: Reliability diagram of raw probabilities.
        calibration: Calibration; None if none was fitted.
        operating_points: Operating points; None if none were fitted.
    """

    label: str
    n: int
    positives: int
    auroc: Estimate
    average_precision: Estimate
    brier: float
    ece: float
    roc: Curve
    precision_recall: Curve
    reliability: ReliabilityCurve
    calibration: CalibrationResult | None = None
    operating_points: tuple[OperatingPoint, ...] | None = None

    @property
    def prevalence(self) -> float:
        """Fraction of positives among the images with a known target; NaN if there are none."""
        return self.positives / self.n if self.n else float("nan")


@dataclass(frozen=True)
class MeanEstimate:
    """A mean over the labels for which a metric is defined.

    Attributes:
        estimate: The mean.
        labels: Number of labels that it covers.
    """

    estimate: Estimate
    labels: int


@dataclass(frozen=True)
class Subgroup:
    """A group of images, such as those of women.

    Attributes:
        attribute: ``sex``, ``age`` or ``view``.
        group: Name of the group, such as ``F``, ``40-59``, ``AP`` or ``unknown``.
        images: Number of images in the group.
        patients: Number of patients in the group.
        auroc: Mean AUROC over the labels with positives of at least two patients in the group, and negatives of two.
        by_label: AUROC and number of positives by label.
        reference: The attribute's group with the most images.
        difference: Mean AUROC minus the reference's, over the labels that both means cover, with a paired interval;
            undefined for the reference.
    """

    attribute: str
    group: str
    images: int
    patients: int
    auroc: MeanEstimate
    by_label: Mapping[str, tuple[Estimate, int]]
    reference: str
    difference: MeanEstimate


@dataclass(frozen=True)
class Baseline:
    """Result of a baseline, which should score below the model.

    Attributes:
        name: ``view, age and sex`` or ``shuffled targets``.
        description: How the baseline is computed.
        auroc: Mean AUROC; None if it cannot be computed.
        by_label: AUROC by label, without intervals; empty if it cannot be computed.
        reason: Why the baseline cannot be computed; None if it was.
    """

    name: str
    description: Statement
    auroc: MeanEstimate | None
    by_label: Mapping[str, float]
    reason: Statement | None = None


@dataclass(frozen=True)
class PublishedResult:
    """A published result on NIH's official split.

    Attributes:
        name: Short reference, such as ``Wang et al. 2017``.
        source: Full reference.
        auroc: AUROC by label.
        mean: Mean AUROC as published.
    """

    name: str
    source: str
    auroc: Mapping[str, float]
    mean: float


@dataclass(frozen=True)
class EvaluationSettings:
    """Settings with which the numbers were computed.

    Attributes:
        replicates: Number of replicates of the bootstrap over patients.
        seed: Seed of the bootstrap.
        prevalences: Requested prevalences, in (0, 1), in addition to the evaluated images'.
        predictor: Device and precision of the predictions; empty for predictions from elsewhere.
    """

    replicates: int
    seed: int
    prevalences: tuple[float, ...]
    predictor: str


@dataclass(frozen=True)
class Evaluation:
    """Everything that a report shows, apart from heat maps.

    Attributes:
        source: Name of the checkpoint or predictions file that was evaluated.
        synthetic: Whether the images are synthetic.
        split: ``test``, ``val`` or ``train``.
        images: Number of evaluated images.
        patients: Number of evaluated patients.
        missing: Number of images of the split without a prediction.
        labels: Results of the findings, in the order of the model's outputs.
        auroc: Mean AUROC over labels.
        average_precision: Mean average precision over labels.
        brier: Mean Brier score of raw probabilities over labels.
        ece: Mean expected calibration error of raw probabilities over labels.
        calibrated_brier: Mean Brier score of calibrated probabilities; None if no calibration was fitted.
        calibrated_ece: Mean expected calibration error of calibrated probabilities; None if none was fitted.
        fitted_on: Description of the images on which thresholds and calibration were fitted; None where nothing was.
        not_fitted: Why no calibration and thresholds were fitted; None if they were.
        subgroups: Results by sex, age and view.
        baselines: Results of the baselines on the same images.
        comparability: Whether the numbers may be compared with published ones.
        published: Published results; empty unless the numbers are comparable.
        model: The model's metadata; empty for predictions from elsewhere.
        data: Record of the evaluated data.
        settings: Settings with which the numbers were computed.
        versions: Versions of packages at evaluation.
        warnings: Statements that a reader must know before trusting the numbers.
    """

    source: str
    synthetic: bool
    split: str
    images: int
    patients: int
    missing: int
    labels: tuple[LabelResult, ...]
    auroc: MeanEstimate
    average_precision: MeanEstimate
    brier: MeanEstimate
    ece: MeanEstimate
    calibrated_brier: MeanEstimate | None
    calibrated_ece: MeanEstimate | None
    fitted_on: str | None
    not_fitted: Statement | None
    subgroups: tuple[Subgroup, ...]
    baselines: tuple[Baseline, ...]
    comparability: Comparability
    published: tuple[PublishedResult, ...]
    model: Mapping[str, Any]
    data: Mapping[str, Any]
    settings: EvaluationSettings
    versions: Mapping[str, str]
    warnings: tuple[Statement, ...]
