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
    """Area under the ROC curve."""
    average_precision: MeanJson
    """Area under the precision-recall curve, by steps."""
    brier: MeanJson
    """Brier score of raw probabilities."""
    ece: MeanJson
    """Expected calibration error of raw probabilities."""
    calibrated_brier: MeanJson | None
    """Brier score of calibrated probabilities; null where no calibration was fitted."""
    calibrated_ece: MeanJson | None
    """Expected calibration error of calibrated probabilities; null where no calibration was fitted."""
    metrics: dict[str, MetricMeanJson] = Field(default_factory=dict)
    """Means of other packages' metrics, by name; absent without any."""


class SubgroupLabelJson(JsonModel):
    """Metrics of one finding in a subgroup."""

    positives: Count
    """Images of the group with the finding."""
    auroc: EstimateJson
    """Area under the ROC curve."""


class SubgroupJson(JsonModel):
    """Results of a group of images, such as those of women."""

    attribute: str
    """sex, age or view."""
    group: str
    """The group's name, such as F, 40-59, AP or unknown."""
    images: Count
    """Images in the group."""
    patients: Count
    """Patients in the group."""
    auroc: MeanJson
    """Mean AUROC, over labels with positives of at least two patients in the group, and negatives of two."""
    reference: str
    """The attribute's group with the most images."""
    difference: MeanDifferenceJson
    """Mean AUROC minus the reference's, over labels defined in both."""
    labels: dict[str, SubgroupLabelJson]
    """By finding."""


class BaselineJson(JsonModel):
    """Result of a baseline, which should score below the model."""

    name: str
    """The baseline."""
    description: str
    """How it is computed."""
    auroc: MeanJson | None
    """Mean AUROC; null where it cannot be had."""
    labels: dict[str, Fraction]
    """AUROC by finding; empty where it cannot be had."""
    reason: str
    """Why it cannot be had; empty where it can."""


class CriterionJson(JsonModel):
    """One condition of comparability with results on the official split."""

    name: str
    """The condition."""
    met: bool | None
    """Null where it cannot be known."""
    detail: str
    """What was found."""


class ProtocolJson(JsonModel):
    """What was evaluated and how, and whether that is comparable with published results."""

    comparable: bool | None
    """With results on the official split; null where it cannot be known."""
    reasons: tuple[str, ...]
    """The criteria that are not met or cannot be checked, with what was found."""
    facts: dict[str, str]
    """Descriptions of data, selection and fitting, by name."""
    criteria: tuple[CriterionJson, ...]
    """The conditions of comparability."""


class PublishedResultJson(JsonModel):
    """A published result on the official split."""

    name: str
    """Short reference."""
    source: str
    """Full reference."""
    auroc: dict[str, Fraction]
    """AUROC by finding."""
    mean: Fraction
    """Mean AUROC as published."""


class SettingsJson(JsonModel):
    """Settings with which the numbers were computed."""

    replicates: Count
    """Replicates of the bootstrap over patients."""
    seed: Count
    """Seed of the bootstrap."""
    interval: str
    """How intervals are computed."""
    prevalences: tuple[Annotated[float, Field(gt=0, lt=1)], ...]
    """Prevalences for which predictive values were requested."""
    predicted_with: Annotated[str, Field(serialization_alias="predicted with")]
    """Device and precision of the predictions."""
    data: dict[str, JsonValue]
    """Record of the evaluated data; free."""


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
    """What data this is."""
    subject: str
    """What was evaluated, such as a checkpoint's name."""
    synthetic: bool
    """Whether the images are made, not taken."""
    split: str
    """test, val or train."""
    images: Count
    """Evaluated images."""
    patients: Count
    """Evaluated patients."""
    macro: MacroJson
    """Mean of each metric over the labels."""
    labels: Annotated[dict[str, LabelJson], Field(min_length=1)]
    """By finding, in output order."""
    fitted_on: str | None
    """What thresholds and calibration were fitted on; null where nothing was."""
    not_fitted: str
    """Why nothing was fitted; empty where something was."""
    subgroups: tuple[SubgroupJson, ...]
    """By sex, age and view."""
    controls: tuple[BaselineJson, ...]
    """Baselines on the same images."""
    protocol: ProtocolJson
    """What was evaluated and how."""
    published: tuple[PublishedResultJson, ...]
    """Results on the same protocol; empty unless comparable, and for synthetic images."""
    explanation: ExplanationJson | None
    """Heat maps; null where none were made."""
    model: dict[str, JsonValue]
    """The model's own record; free."""
    settings: SettingsJson
    """Of the evaluation."""
    versions: dict[str, str]
    """Of packages."""
    warnings: tuple[str, ...]
    """What a reader must know before trusting the numbers."""

    @model_validator(mode="after")
    def _synthetic_is_not_published(self) -> Self:
        if self.synthetic and self.published:
            raise ValueError("published results beside those of synthetic images")
        return self
