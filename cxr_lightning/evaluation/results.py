"""Results of an evaluation as frozen dataclasses. An undefined number is NaN."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cxr_lightning.evaluation.comparability import Comparability
from cxr_lightning.evaluation.label_result import LabelResult
from cxr_lightning.evaluation.statements import Statement
from cxr_lightning.metrics.bootstrap import Estimate
from cxr_lightning.metrics.report_metric import ReportMetric


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
        metrics: The metrics of the report, in their order.
        means: Mean of each metric over labels, by the metric's name.
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
    metrics: tuple[ReportMetric, ...]
    means: Mapping[str, MeanEstimate]
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

    @property
    def auroc(self) -> MeanEstimate:
        """Mean AUROC over labels."""
        return self.means["auroc"]
