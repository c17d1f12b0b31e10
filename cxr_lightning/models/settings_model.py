"""The types of a model's recorded settings, which its file carries: each with its range. It needs no torch."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field, JsonValue, ValidationError

from cxr_lightning.data.setting_rules import MAX_IMAGE_SIZE
from cxr_lightning.imaging.reader import Interpolation
from cxr_lightning.labels import MAX_LABELS, check_labels
from cxr_lightning.utils.typed_values import TypedValues, describe_errors

Mode = Literal["imagenet", "featurewise", "samplewise", "none"]
"""How pixels are normalized; see :class:`~cxr_lightning.models.preprocess.Preprocess`."""
_MAX_NAME_LENGTH = 300


def _checked_labels(labels: list[str]) -> list[str]:
    return list(check_labels(labels))


Labels = Annotated[list[str], Field(max_length=MAX_LABELS), AfterValidator(_checked_labels)]
"""Finding names: at least one, each once."""
ImageSize = Annotated[int, Field(ge=1, le=MAX_IMAGE_SIZE)]
"""Side of the images in pixels."""
_PixelStatistic = Annotated[float, Field(ge=0, le=255)] | None


class ModelSettings(TypedValues):
    """The settings with which a model is built again; no others are taken from a file."""

    model_config = ConfigDict(extra="forbid")

    labels: Labels | Annotated[tuple[str, ...], Field(max_length=MAX_LABELS), AfterValidator(check_labels)]
    """Finding names, in output order."""
    backbone: Annotated[str, Field(min_length=1, max_length=_MAX_NAME_LENGTH)] = "densenet121"
    """Name of the backbone."""
    image_size: ImageSize
    """Side of the images in pixels."""
    interpolation: Interpolation
    """Interpolation with which images are resized."""
    preprocessing: Mode
    """How pixels are normalized."""
    mean: _PixelStatistic = None
    """Mean of the training pixels, with featurewise preprocessing."""
    std: _PixelStatistic = None
    """Standard deviation of the training pixels, with featurewise preprocessing."""
    batch_norm_epsilon: Annotated[float, Field(gt=0, le=1)] = 1e-5
    """Epsilon of the batch normalizations of a DenseNet."""
    final_relu: bool = True
    """Whether an activation follows the last batch normalization of a DenseNet."""
    drop_rate: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Fraction of the features that the layers of a DenseNet drop in training."""
    variations: dict[str, JsonValue] | None = None
    """Further arguments of a backbone of another package, by name."""
    freeze_backbone: bool = False
    """Whether only the last layer was trained."""


def check_recorded_settings(settings: object, path: str) -> None:
    """Check the settings of a model in a file that may have been changed since it was written.

    Args:
        settings: The settings in the file.
        path: The file, for the message.

    Raises:
        ValueError: If one is missing, unknown, of another type or out of its range.
    """
    if not isinstance(settings, Mapping):
        raise ValueError(f"Expected settings of a model in '{path}' but they are no mapping. Copy the file again.")
    try:
        ModelSettings.model_validate(dict(settings))
    except ValidationError as error:
        raise ValueError(
            f"Expected settings of a model in '{path}' but in them, {describe_errors(error)}. "
            "Copy the file again, or install the version that wrote it."
        ) from error
