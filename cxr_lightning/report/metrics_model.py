"""The types of metrics.json: each key's type, meaning and bounds. Its JSON Schema is generated from them."""

from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, JsonValue, model_validator

from cxr_lightning.report.explanation_model import ExplanationJson
from cxr_lightning.report.json_model import EstimateJson, JsonModel, MeanDifferenceJson, MeanJson, MetricMeanJson
from cxr_lightning.report.label_model import LabelJson
from cxr_lightning.utils.typed_values import Count, Fraction


class MacroJson(JsonModel):
    """Means over the labels for which a number is defined."""

    auroc: MeanJson
    """Mean area under the ROC curve."""
    average_precision: MeanJson
    """Mean area under the precision-recall curve, by steps."""
    brier: MeanJson
    """Mean Brier score of raw probabilities."""
    ece: MeanJson
    """Mean expected calibration error of raw probabilities."""
    calibrated_brier: MeanJson | None
    """Mean Brier score of calibrated probabilities; null where no calibration was fitted."""
    calibrated_ece: MeanJson | None
    """Mean expected calibration error of calibrated probabilities; null where none was fitted."""
    metrics: dict[str, MetricMeanJson] = Field(default_factory=dict)
    """Means of further metrics, by name; absent without any."""


class SubgroupLabelJson(JsonModel):
    """Metrics of one finding in a subgroup."""

    positives: Count
    """Number of images of the group with the finding."""
    auroc: EstimateJson
    """Area under the ROC curve in the group."""


class SubgroupJson(JsonModel):
    """Results of a group of images, such as those of women."""

    attribute: str
    """Attribute that divides the images: sex, age or view."""
    group: str
    """Name of the group, such as F, 40-59, AP or unknown."""
    images: Count
    """Number of images in the group."""
    patients: Count
    """Number of patients in the group."""
    auroc: MeanJson
    """Mean AUROC, over labels with positives of at least two patients in the group, and negatives of two."""
    reference: str
    """Name of the attribute's group with the most images, with which the others are compared."""
    difference: MeanDifferenceJson
    """Mean AUROC minus that of the reference group, over labels defined in both."""
    labels: dict[str, SubgroupLabelJson]
    """Metrics in the group, by finding."""


class BaselineJson(JsonModel):
    """Result of a baseline, which should score below the model."""

    name: str
    """Name of the baseline."""
    description: str
    """How the baseline is computed."""
    auroc: MeanJson | None
    """Mean AUROC; null where the baseline cannot be computed."""
    labels: dict[str, Fraction]
    """AUROC by finding; empty where the baseline cannot be computed."""
    reason: str
    """Why the baseline cannot be computed; empty where it was."""


class CriterionJson(JsonModel):
    """One condition of comparability with results on the official split."""

    name: str
    """Name of the condition."""
    met: bool | None
    """Whether the condition is met; null where that cannot be known."""
    detail: str
    """What was found about the condition."""


class ProtocolJson(JsonModel):
    """What was evaluated and how, and whether that is comparable with published results."""

    comparable: bool | None
    """Whether the numbers are comparable with results on the official split; null where that cannot be known."""
    reasons: tuple[str, ...]
    """The criteria that are not met or cannot be checked, with what was found."""
    facts: dict[str, str]
    """Descriptions of data, selection and fitting, by name."""
    criteria: tuple[CriterionJson, ...]
    """Conditions of comparability, each with what was found."""


class PublishedResultJson(JsonModel):
    """A published result on the official split."""

    name: str
    """Short reference, such as Wang et al. 2017."""
    source: str
    """Full reference of the publication."""
    auroc: dict[str, Fraction]
    """Published AUROC by finding."""
    mean: Fraction
    """Mean AUROC as published."""


class SettingsJson(JsonModel):
    """Settings with which the numbers were computed."""

    replicates: Count
    """Number of replicates of the bootstrap over patients."""
    seed: Count
    """Seed of the bootstrap."""
    interval: str
    """How intervals are computed."""
    prevalences: tuple[Annotated[float, Field(gt=0, lt=1)], ...]
    """Prevalences for which predictive values were requested."""
    predicted_with: Annotated[str, Field(serialization_alias="predicted with")]
    """Device and precision of the predictions."""
    data: dict[str, JsonValue]
    """Record of the evaluated data; its keys are free."""


class MetricsJson(JsonModel):
    """The numbers of one evaluation. An undefined number is null. Intervals are of 95 %, by drawing patients anew."""

    model_config = ConfigDict(
        title="metrics.json of cxr_lightning",
        json_schema_extra={
            "if": {"properties": {"synthetic": {"const": True}}},
            "then": {"properties": {"published": {"maxItems": 0}}},
        },
    )

    format: Literal[1]
    """Version of the format, raised when a key changes its meaning or is removed."""
    notice: Literal["Not for clinical use."]
    """What the numbers must not be used for."""
    title: str
    """Title of the evaluation, which names its data and says whether it is synthetic."""
    subject: str
    """Name of the checkpoint or predictions file that was evaluated."""
    synthetic: bool
    """Whether the images are synthetic."""
    split: str
    """Split that was evaluated: test, val or train."""
    images: Count
    """Number of evaluated images."""
    patients: Count
    """Number of evaluated patients."""
    macro: MacroJson
    """Mean of each metric over the labels."""
    labels: Annotated[dict[str, LabelJson], Field(min_length=1)]
    """Metrics by finding, in output order."""
    fitted_on: str | None
    """Description of the images on which thresholds and calibration were fitted; null where nothing was."""
    not_fitted: str
    """Why no thresholds and calibration were fitted; empty where they were."""
    subgroups: tuple[SubgroupJson, ...]
    """Results by sex, age and view."""
    controls: tuple[BaselineJson, ...]
    """Results of baselines on the same images."""
    protocol: ProtocolJson
    """Protocol of the evaluation, and whether the numbers are comparable with published results."""
    published: tuple[PublishedResultJson, ...]
    """Published results on the same protocol; empty unless comparable, and for synthetic images."""
    explanation: ExplanationJson | None
    """Heat maps of the evaluation; null where none were made."""
    model: dict[str, JsonValue]
    """Metadata of the model; its keys are free. Empty for predictions from elsewhere."""
    settings: SettingsJson
    """Settings of the evaluation, such as the seed of the bootstrap."""
    versions: dict[str, str]
    """Versions of Python and of packages at evaluation, by name."""
    warnings: tuple[str, ...]
    """What a reader must know before trusting the numbers."""

    @model_validator(mode="after")
    def _synthetic_is_not_published(self) -> Self:
        if self.synthetic and self.published:
            raise ValueError("published results beside those of synthetic images")
        return self
