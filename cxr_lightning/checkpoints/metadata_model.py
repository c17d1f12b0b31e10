"""The types of a model file's metadata: each key's type, meaning and rule. Keys that are not named here are kept."""

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, JsonValue, ValidationInfo, field_validator, model_validator

from cxr_lightning.checkpoints.quantization_model import QuantizationRecord
from cxr_lightning.imaging.reader import BadImagePolicy, FlagPolicy, Interpolation
from cxr_lightning.labels import UncertainMeaning
from cxr_lightning.metrics.calibration import CalibrationMethod
from cxr_lightning.models.settings_model import ImageSize, Labels, ModelSettings
from cxr_lightning.utils.file_names import METADATA_FORMAT
from cxr_lightning.utils.typed_values import NULL_IF_UNDEFINED, Count, Fraction, Number, TypedValues

Auroc = Annotated[Annotated[float, Field(ge=0, le=1 + 1e-5)] | None, NULL_IF_UNDEFINED]
"""An AUROC in [0, 1], or null; one that was summed in float32 can be above 1 by rounding."""
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class StoredValues(TypedValues):
    """An object in a model file; keys of later versions are kept."""

    model_config = ConfigDict(extra="allow")


class WeightsSource(StoredValues):
    """The file from which the weights were read, and how."""

    file: str
    """Path or name of the file."""
    sha256: Sha256
    """The sha256 of the file's bytes."""
    format: str
    """Description of the file's format, for people."""
    decisions: list[str]
    """What was decided about the network, for people."""


class SplitRecord(StoredValues):
    """The images of one split."""

    images: Count
    """Number of images in the split."""
    patients: Count
    """Number of patients in the split."""
    sha256: Sha256
    """The sha256 of the sorted image names, one a line."""


class LayoutRecord(StoredValues):
    """The layout of a data set's files; its options are the other keys."""

    name: str
    """Name of the layout, such as nih."""


class DataSettings(StoredValues):
    """The arguments of the data module; those of later versions are kept."""

    root: str
    """Folder of the data set."""
    source: LayoutRecord
    """Layout of the data set's files."""
    labels: Labels
    """Finding names of the data, in output order."""
    label_map: dict[str, str] | None = None
    """Findings by the names of label columns that are spelled in another way."""
    uncertain: UncertainMeaning | dict[str, UncertainMeaning] | None = None
    """What uncertain labels were taken for, in all findings or by finding; null if there are none."""
    split: str
    """How the data were divided, such as official."""
    seed: int = 0
    """Number that draws splits and subsets."""
    val_fraction: Fraction = None
    """Fraction of the images for validation, where the files leave it open."""
    test_fraction: Fraction = None
    """Fraction of the images for testing, where they are divided at random."""
    drop_leaked: bool = False
    """Whether patients and images that are in a later split too were dropped."""
    views: list[str] | None = None
    """View positions that were kept; null for all."""
    on_missing: Literal["error", "skip"] = "error"
    """What was done with images that are not on disk."""
    subset: bool = False
    """Whether only a part of the images was drawn."""
    subset_images: list[Count] | tuple[Count, ...] | None = None
    """Requested number of images of each split of a part."""
    on_bad_image: BadImagePolicy = "error"
    """What was done with images that cannot be used."""
    on_flag: FlagPolicy = "keep"
    """What was done with images that have quality flags."""
    force: bool = False
    """Whether DICOM files were decoded that are no chest radiographs by their headers."""
    image_size: ImageSize | None = None
    """Side of the images in pixels."""
    interpolation: Interpolation = "bilinear"
    """Interpolation with which images were resized."""
    batch_size: Count | None = None
    """Number of images in a batch."""


class UncertainRecord(StoredValues):
    """Uncertain labels of a finding."""

    images: Count
    """Number of images whose label is uncertain."""
    taken: UncertainMeaning
    """What they were taken for."""


class TrainingData(StoredValues):
    """What identifies the data of a training."""

    source: str
    """Name of the data set's layout, such as nih."""
    synthetic: bool
    """Whether the images are synthetic."""
    files: dict[str, str]
    """The sha256 of every label and list file that was read, by file name."""
    splits: dict[str, SplitRecord]
    """Images by split: train, val and test; empty splits are absent."""
    skipped: Count
    """Number of images that were listed but not on disk."""
    leaked: Count
    """Number of images that were excluded because their patient, or an equal image, is in a later split too."""
    rejected: Count
    """Number of images that were excluded because of what is in their files."""
    remarks: list[str] = Field(default_factory=list)
    """What a user should know of the files, as clauses."""
    uncertain: dict[str, UncertainRecord] = Field(default_factory=dict)
    """Uncertain labels by finding."""
    subset: bool
    """Whether only a part of the images was drawn."""
    settings: DataSettings
    """Settings with which the data are read and divided again."""


class StoredCalibrator(StoredValues):
    """calibrated = sigmoid(slope * logit(p) + intercept)."""

    method: CalibrationMethod
    """`none` leaves probabilities unchanged; `temperature` fits the slope, `platt` the intercept too."""
    slope: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    """Factor on the log odds of the raw probability."""
    intercept: Annotated[float, Field(allow_inf_nan=False)]
    """Log odds that are added after the slope."""
    reason: str = ""
    """Why the label is not calibrated, or the methods' losses on validation images."""


class StoredPostProcessing(StoredValues):
    """Calibration and operating points, fitted on validation images."""

    source: str
    """Description of the images on which both were fitted."""
    calibration: dict[str, StoredCalibrator]
    """Calibration of the probabilities, by label."""
    operating_points: dict[str, dict[str, Number]]
    """Thresholds on raw probabilities by label and rule; null where undefined."""
    positives: dict[str, Count]
    """Number of images of the fit with the finding, by label."""


class ModelMetadata(StoredValues):
    """What a model file holds beside the weights and the settings that build the network.

    A model that was not trained by this package, such as converted weights, has no data and nothing that follows from
    it.
    """

    format: Annotated[int, Field(ge=1, le=METADATA_FORMAT)]
    """Version of the metadata's format; 1 is that of version 0.1."""
    versions: dict[str, str]
    """Versions of Python and of packages with which the model was trained or converted."""
    initial_weights: str | None
    """Initial weights of the training: null (random), imagenet, or the name of a file."""
    source: WeightsSource | None = None
    """File of the initial or converted weights; absent for random weights and imagenet."""
    data: TrainingData | None = None
    """Data of the training; absent for a model that was not trained by this package."""
    prevalence: dict[str, Fraction] = Field(default_factory=dict)
    """Fraction of positives in the training images, by label; null where no target is known."""
    constant_loss: dict[str, Annotated[float | None, NULL_IF_UNDEFINED]] = Field(default_factory=dict)
    """Loss of the best prediction that is the same for every image, by split; null where undefined."""
    loss: str | None = None
    """Dotted name of the class of the loss; absent in files of earlier versions."""
    loss_settings: dict[str, JsonValue] | None = None
    """Configuration of the loss; absent in files of earlier versions, and without a configuration."""
    training_settings: dict[str, JsonValue] | None = None
    """Settings that determine what is learned, by dotted key; absent in files of earlier versions."""
    precision: str | int | None = None
    """Precision of the training, in Lightning's words, such as bf16-mixed."""
    monitor: str | None = None
    """Logged name of the metric by which epochs were compared."""
    labels: Labels
    """Finding names, in output order."""
    untrained_labels: list[str] = Field(default_factory=list)
    """Labels without positives or without negatives in the training images: their outputs are undefined."""
    fitted: StoredPostProcessing | None = None
    """Calibration and operating points, where the file carries them."""
    quantization: QuantizationRecord | None = None
    """How an ONNX file was quantized; absent for one in float32, and for all other files."""
    val_auroc: dict[str, Auroc]
    """AUROC on the validation images of the saved epoch, by label; null where undefined, empty before validation."""

    @field_validator("untrained_labels")
    @classmethod
    def _check_untrained(cls, value: list[str], info: ValidationInfo) -> list[str]:
        if not set(value) <= set(info.data.get("labels", value)):
            raise ValueError("expected names among the labels")
        return value

    @field_validator("source", "data", "fitted", "quantization", mode="before")
    @classmethod
    def _refuse_null(cls, value: object) -> object:
        """Refuse a key without its object; what reads it takes a key that is there for an object."""
        if value is None:
            raise ValueError("expected an object, or no such key")
        return value


def _checked_metadata(metadata: dict[str, Any]) -> dict[str, Any]:
    """The same metadata, which stay plain values in their order."""
    ModelMetadata.model_validate(metadata)
    return metadata


def _checked_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """The same settings, which stay plain values."""
    ModelSettings.model_validate(settings)
    return settings


class ModelDescription(StoredValues):
    """What an exported file says of its model."""

    labels: Labels
    """Finding names, in output order."""
    image_size: ImageSize
    """Side of the images in pixels."""
    interpolation: Interpolation
    """Interpolation with which images are resized."""
    hyper_parameters: Annotated[dict[str, Any], AfterValidator(_checked_settings)]
    """Arguments of the model, :class:`~cxr_lightning.models.settings_model.ModelSettings` as plain values."""
    record: Annotated[dict[str, Any], AfterValidator(_checked_metadata)]
    """The metadata of the checkpoint, a :class:`ModelMetadata` as plain values."""

    @model_validator(mode="after")
    def _check_agreement(self) -> Self:
        settings = self.hyper_parameters
        for name in ("labels", "image_size", "interpolation"):
            if getattr(self, name) != settings[name]:
                raise ValueError(f"expected the same {name} in hyper_parameters")
        if self.record["labels"] != self.labels:
            raise ValueError("expected the same labels in record")
        return self
