"""What an evaluation says: numbers and words, nothing that computes or draws. An undefined number is NaN."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

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
        threshold: On the raw probability.
        calibrated_threshold: The same on the calibrated probability.
        counts: Images that are called what.
        sensitivity: Share of positives called positive.
        specificity: Share of negatives called negative.
        at: What follows at the set's own prevalence (first) and at those asked for.
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
    """A label's calibration and what it changes.

    Attributes:
        calibrator: Fitted on validation.
        brier: Brier score of calibrated probabilities.
        ece: Their expected calibration error.
        reliability: Points of their reliability diagram.
    """

    calibrator: Calibrator
    brier: float
    ece: float
    reliability: ReliabilityCurve


@dataclass(frozen=True)
class LabelResult:
    """One finding.

    Attributes:
        label: Its name.
        n: Images with a known target.
        positives: Among them.
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
        """Share of positives among images with a known target; NaN if there are none."""
        return self.positives / self.n if self.n else float("nan")


@dataclass(frozen=True)
class Mean:
    """A mean over the labels for which a number is defined.

    Attributes:
        estimate: The mean.
        labels: How many labels it covers.
    """

    estimate: Estimate
    labels: int


@dataclass(frozen=True)
class Subgroup:
    """Some of the images, such as those of women.

    Attributes:
        attribute: ``sex``, ``age`` or ``view``.
        group: Such as ``F``, ``40-59``, ``AP`` or ``unknown``.
        images: In the group.
        patients: In the group.
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
    auroc: Mean
    by_label: Mapping[str, tuple[Estimate, int]]
    reference: str
    difference: Mean


@dataclass(frozen=True)
class Control:
    """What should be worse than the model, or at chance.

    Attributes:
        name: ``view, age and sex`` or ``shuffled targets``.
        description: What was done.
        auroc: Its mean AUROC; None where it cannot be had.
        by_label: AUROC by label, without intervals; empty where it cannot be had.
        reason: Why it cannot be had.
    """

    name: str
    description: str
    auroc: Mean | None
    by_label: Mapping[str, float]
    reason: str = ""


@dataclass(frozen=True)
class Criterion:
    """One condition of comparability.

    Attributes:
        name: What is asked, such as ``all views``.
        met: None where it cannot be known.
        detail: What was found.
    """

    name: str
    met: bool | None
    detail: str


@dataclass(frozen=True)
class Protocol:
    """How the numbers came about, and whether they may be put beside published ones.

    Attributes:
        facts: What was evaluated, in words, in order.
        criteria: Conditions of comparability with results on NIH's official split.
    """

    facts: Mapping[str, str]
    criteria: tuple[Criterion, ...]

    @property
    def comparable(self) -> bool | None:
        """True if every criterion is met, False if one is not, None if one cannot be known."""
        met = [criterion.met for criterion in self.criteria]
        return False if False in met else (None if None in met else True)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why not, or what cannot be known."""
        return tuple(
            f"{criterion.name}: {criterion.detail}" for criterion in self.criteria if criterion.met is not True
        )


@dataclass(frozen=True)
class Published:
    """A published result on the same protocol.

    Attributes:
        name: Such as ``Wang et al. 2017``.
        source: Full reference.
        auroc: By label.
        mean: As published.
    """

    name: str
    source: str
    auroc: Mapping[str, float]
    mean: float


@dataclass(frozen=True)
class Evaluation:
    """Everything that the report shows.

    Attributes:
        title: What data this is; says so when it is synthetic.
        subject: What was evaluated, such as a checkpoint's name.
        synthetic: Whether the images are made, not taken.
        split: ``test``, ``val`` or ``train``.
        images: Evaluated.
        patients: Evaluated.
        labels: One result per finding, in output order.
        auroc: Mean over labels.
        average_precision: Mean over labels.
        brier: Mean over labels, of raw probabilities.
        ece: Mean over labels, of raw probabilities.
        calibrated_brier: Mean over labels, of calibrated probabilities; None where nothing was fitted.
        calibrated_ece: Likewise.
        fitted_on: What thresholds and calibration were fitted on, such as ``200 validation images``; None where
            nothing was.
        not_fitted: Why nothing was; empty where something was.
        subgroups: By sex, age and view.
        controls: Beside the model.
        protocol: See :class:`Protocol`.
        published: Only where comparable.
        model: The model's record, for its card; empty for foreign predictions.
        settings: ``replicates``, ``seed``, ``level`` and so on.
        versions: Of packages, at evaluation.
        warnings: What a reader must know before trusting the numbers.
    """

    title: str
    subject: str
    synthetic: bool
    split: str
    images: int
    patients: int
    labels: tuple[LabelResult, ...]
    auroc: Mean
    average_precision: Mean
    brier: Mean
    ece: Mean
    calibrated_brier: Mean | None
    calibrated_ece: Mean | None
    fitted_on: str | None
    not_fitted: str
    subgroups: tuple[Subgroup, ...]
    controls: tuple[Control, ...]
    protocol: Protocol
    published: tuple[Published, ...]
    model: Mapping[str, Any]
    settings: Mapping[str, Any]
    versions: Mapping[str, str]
    warnings: tuple[str, ...]
