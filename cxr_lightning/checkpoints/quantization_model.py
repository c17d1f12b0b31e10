"""The types of the record of a quantization, in the metadata of an exported file."""

from typing import Annotated

from pydantic import ConfigDict, Field

from cxr_lightning.utils.typed_values import Count, Fraction, SignedFraction, TypedValues


class _Record(TypedValues):
    """An object of the record; keys of later versions are kept."""

    model_config = ConfigDict(extra="allow")


class QuantizedAuroc(_Record):
    """AUROC before and after the quantization, on the same images; null where undefined."""

    float32: Fraction
    """AUROC of the file in float32."""
    int8: Fraction
    """AUROC of the quantized file."""
    loss: SignedFraction
    """The first less the second."""
    low: SignedFraction
    """Lower end of the loss's 95 % interval, from a bootstrap over patients."""
    high: SignedFraction
    """Upper end of the loss's 95 % interval."""


class QuantizationCheckData(_Record):
    """The labeled images on which AUROC was compared."""

    source: str
    """Name of the layout of their files, such as nih."""
    synthetic: bool
    """Whether the images are synthetic."""
    files: dict[str, str]
    """The sha256 of every label and list file, by file name."""
    selection: str
    """Description of the images, such as the test images."""
    images: Count
    """Number of images."""
    patients: Count
    """Number of patients."""
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    """The sha256 of the sorted image names, one a line."""


class QuantizationRecord(_Record):
    """How a file was quantized, and the AUROC that this costs."""

    method: str
    """Description of the quantization, for people."""
    convolutions: Count
    """Number of convolutions in int8."""
    versions: dict[str, str]
    """Versions of onnx and onnxruntime."""
    calibration_images: Count
    """Number of images from which the ranges of activations were computed; none of them is among the checked ones."""
    checked: QuantizationCheckData
    """The images on which AUROC was compared."""
    max_loss: Annotated[float, Field(ge=0, le=1)]
    """Accepted loss of a finding's AUROC."""
    max_mean_loss: Annotated[float, Field(ge=0, le=1)]
    """Accepted loss of the mean AUROC."""
    auroc: dict[str, QuantizedAuroc]
    """AUROC by finding."""
    mean: QuantizedAuroc
    """Mean AUROC over the findings for which it is defined."""
    mean_probability_difference: Annotated[float, Field(ge=0, le=1)]
    """Mean absolute difference of the raw probabilities."""
    max_probability_difference: Annotated[float, Field(ge=0, le=1)]
    """Largest absolute difference of the raw probabilities."""
