"""Results of an evaluation: numbers only, nothing that computes or draws. An undefined number is NaN."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cxr_lightning.evaluation.comparability import Comparability
from cxr_lightning.evaluation.statements import Statement
from cxr_lightning.metrics.calibration import Calibrator, ReliabilityCurve
from cxr_lightning.metrics.operating_points import Confusion, PredictiveValues
from cxr_lightning.metrics.ranking import FloatArray
from cxr_lightning.metrics.resampling import Estimate


@dataclass(frozen=True)
class Curve:
    """Points of a curve, from the highest threshold to the lowest; empty where it is undefined.

    Attributes:
        x: False positive rate (ROC), or recall (precision-recall).
        y: True positive rate (ROC), or precision.
    """

    x: FloatArray
    y: FloatArray


@dataclass(frozen=True)
class OperatingPoint:
    """A threshold chosen on validation, and what it does on the evaluated images.

    Attributes:
        name: The rule, such as ``sensitivity@0.95``.
        threshold: Threshold on the raw probability.
        calibrated_threshold: The same threshold on the calibrated probability.
        counts: True and false positives and negatives.
        sensitivity: Fraction of positives that are predicted positive.
        specificity: Fraction of negatives that are predicted negative.
        at: Predictive values at the set's own prevalence (first) and at the requested ones.
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
    """A label's calibration, and the scores of calibrated probabilities.

    Attributes:
        calibrator: Fitted on validation.
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
    """One finding.

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
        calibration: None where nothing was fitted.
        operating_points: None where nothing was fitted.
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
        """Fraction of positives among images with a known target; NaN if there are none."""
        return self.positives / self.n if self.n else float("nan")


@dataclass(frozen=True)
class MeanEstimate:
    """A mean over the labels for which a number is defined.

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
        group: Such as ``F``, ``40-59``, ``AP`` or ``unknown``.
        images: Number of images in the group.
        patients: Number of patients in the group.
        auroc: Mean AUROC over the labels with positives of two patients and negatives of two patients in this group.
        by_label: AUROC and number of positives by label.
        reference: The attribute's group with the most images.
        difference: Mean AUROC minus that of the reference, over such labels in both, with a paired interval; undefined
            for the reference itself.
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
    """A baseline that should be worse than the model, or at chance.

    Attributes:
        name: ``view, age and sex`` or ``shuffled targets``.
        description: How it was computed.
        auroc: Its mean AUROC; None where it cannot be computed.
        by_label: AUROC by label, without intervals; empty where it cannot be computed.
        reason: Why it cannot be computed; None where it was.
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
        name: Such as ``Wang et al. 2017``.
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
    """How the numbers were computed.

    Attributes:
        replicates: Number of replicates of the bootstrap over patients.
        seed: Seed of its draws.
        prevalences: Requested prevalences, in (0, 1), beside the set's own.
        predictor: Device and precision of the predictions; empty for predictions from elsewhere.
    """

    replicates: int
    seed: int
    prevalences: tuple[float, ...]
    predictor: str


@dataclass(frozen=True)
class Evaluation:
    """Everything that the report shows.

    Attributes:
        source: Name of the checkpoint or predictions file that was evaluated.
        synthetic: Whether the images are synthetic.
        split: ``test``, ``val`` or ``train``.
        images: Number of evaluated images.
        patients: Number of evaluated patients.
        missing: Number of images of the split without a prediction.
        labels: One result per finding, in output order.
        auroc: Mean over labels.
        average_precision: Mean over labels.
        brier: Mean over labels, of raw probabilities.
        ece: Mean over labels, of raw probabilities.
        calibrated_brier: Mean over labels, of calibrated probabilities; None where nothing was fitted.
        calibrated_ece: Mean over labels, of calibrated probabilities; None where nothing was fitted.
        fitted_on: Description of the images on which thresholds and calibration were fitted; None where nothing was.
        not_fitted: Why nothing was fitted; None where something was.
        subgroups: By sex, age and view.
        baselines: Baselines on the same images.
        comparability: Whether the numbers may be compared with published ones.
        published: Published results; only where comparable.
        model: The model's metadata; empty for predictions from elsewhere.
        data: Record of the evaluated data.
        settings: How the numbers were computed.
        versions: Versions of packages at evaluation.
        warnings: What a reader must know before trusting the numbers.
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
