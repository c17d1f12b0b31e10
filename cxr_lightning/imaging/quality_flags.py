"""Quality flags of a decoded image: signs that it is not what a model was trained on."""

import math
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cxr_lightning.imaging.decoded_image import DecodedImage, QualityFlag
from cxr_lightning.imaging.reader import resize
from cxr_lightning.imaging.view_positions import LATERAL_VIEW, parse_view_position

AVERAGE_CHEST = np.array(
    [
        [46, 65, 89, 147, 144, 86, 63, 46],
        [126, 134, 95, 128, 129, 98, 134, 125],
        [145, 130, 80, 126, 130, 83, 131, 144],
        [124, 112, 81, 137, 147, 88, 113, 123],
        [105, 106, 93, 152, 170, 115, 107, 103],
        [106, 128, 137, 176, 187, 155, 129, 103],
        [111, 168, 188, 198, 198, 188, 164, 106],
        [112, 176, 193, 199, 199, 192, 174, 107],
    ],
    dtype=np.float64,
)
"""The mean of 300 images of the synthetic set, 8 x 8 pixels: dark lungs beside a bright spine, above a bright belly."""
MIN_CHEST_CORRELATION = 0.3
"""Correlation with the average chest below which an image is not an upright frontal chest."""
MAX_INVERTED_CORRELATION = -0.2
"""Correlation with the average chest below which an image is inverted or upside down."""
MAX_BLANK_DEVIATION = 4.0
"""Standard deviation of the pixels, of 255, below which an image is nearly blank."""
MAX_LOW_CONTRAST_DEVIATION = 15.0
"""Standard deviation of the pixels, of 255, below which an image has low contrast."""
MAX_WHITE_FRACTION = 0.05
"""Fraction of the middle's pixels at the bright end of the scale above which an image is saturated."""
MAX_BLACK_FRACTION = 0.15
"""The same of the dark end: air, as of a pneumothorax or in emphysema, is black in some films that are as they should
be."""
_END_LEVELS = 3
"""Number of gray levels at either end that count as the end: lossy compression moves values a little."""
MIN_COLOR_FRACTION = 0.02
"""Fraction of colored pixels from which on an image counts as colored."""
MAX_ASPECT_RATIO = 1.5
"""Ratio of the longer to the shorter side above which an image counts as cropped."""
_COPY_SIDE = 64
"""Minimum shorter side of the small copy, by which most images are known to need no exact measurement."""
_COPY_MARGIN = 4.0
"""Correlation times deviation by which the copy may be off: it was 0.9 at most on 700 images of sharp edges."""


def find_quality_flags(image: DecodedImage, image_size: int) -> list[QualityFlag]:
    """All quality flags of an image; none of them makes the image unusable.

    Args:
        image: The decoded file.
        image_size: Side of the model's input in pixels.
    """
    return [
        *_value_flags(image),
        *_shape_flags(image.pixels.shape, image_size),
        *_view_flags(image.view_position),
        *image.flags,
    ]


def chest_correlation(pixels: NDArray[np.uint8]) -> float:
    """Correlation of an image with the average chest, in [-1, 1]; 0 for one without contrast.

    Args:
        pixels: ``(H, W)``.
    """
    return _correlation(resize(pixels, len(AVERAGE_CHEST)).astype(np.float64))


def _correlation(small: NDArray[np.float64]) -> float:
    if small.std() == 0:
        return 0.0
    return float(np.corrcoef(small.ravel(), AVERAGE_CHEST.ravel())[0, 1])


def _value_flags(image: DecodedImage) -> list[QualityFlag]:
    pixels = image.pixels
    flags = []
    if image.color_fraction >= MIN_COLOR_FRACTION:
        flags.append(QualityFlag("colour", f"{image.color_fraction:.0%} of its pixels are colored, as in a photograph"))
    if (highest := int(pixels.max(initial=0))) <= 1:
        message = f"its values end at {highest}, not at 255: all of it is black"
        return [*flags, QualityFlag("scaled_to_1", message)]
    copy = _SmallCopy.of(pixels)
    deviation = _deviation(pixels) if copy.may_lack_contrast() else math.inf
    if deviation < MAX_BLANK_DEVIATION:
        message = f"it is nearly blank (standard deviation {deviation:.1f} of 255)"
        return [*flags, QualityFlag("nearly_blank", message)]
    if deviation < MAX_LOW_CONTRAST_DEVIATION:
        message = f"it has very low contrast (standard deviation {deviation:.1f} of 255)"
        flags.append(QualityFlag("low_contrast", message))
    flags += _saturation_flags(pixels)
    return [*flags, *_chest_flags(pixels)] if copy.may_be_unlike_chest() else flags


def _chest_flags(pixels: NDArray[np.uint8]) -> list[QualityFlag]:
    """The flag of an image that is unlike the average chest."""
    correlation = chest_correlation(pixels)
    if correlation < MAX_INVERTED_CORRELATION:
        message = "it is likely inverted (bones are to be bright) or upside down"
        return [QualityFlag("inverted", f"{message}: correlation {correlation:.2f} with an average chest")]
    if correlation < MIN_CHEST_CORRELATION:
        message = "it does not look like an upright frontal chest radiograph"
        return [QualityFlag("unlike_chest", f"{message}: correlation {correlation:.2f} with an average one")]
    return []


class _SmallCopy(NamedTuple):
    """An image of means of squares of pixels: measured in a sixth of the time, and near enough for most images."""

    image: Image.Image
    box: tuple[float, float, float, float]
    """The part that the image covers: the last squares may reach beyond its edges."""

    @classmethod
    def of(cls, pixels: NDArray[np.uint8]) -> Self:
        height, width = pixels.shape
        factor = max(1, min(height, width) // _COPY_SIDE)
        return cls(Image.fromarray(pixels).reduce(factor), (0, 0, width / factor, height / factor))

    def may_lack_contrast(self) -> bool:
        """Whether the image's deviation may be low: means deviate less than pixels do, so that it is never missed."""
        return float(np.asarray(self.image).std()) < 2 * MAX_LOW_CONTRAST_DEVIATION

    def may_be_unlike_chest(self) -> bool:
        """Whether the correlation with the average chest may be low, by the copy's and how far it may be off."""
        side = len(AVERAGE_CHEST)
        small = np.asarray(self.image.resize((side, side), Image.Resampling.BILINEAR, self.box)).astype(np.float64)
        correlation, deviation = _correlation(small), float(small.std())
        return correlation * deviation - _COPY_MARGIN < MIN_CHEST_CORRELATION * deviation


def _deviation(pixels: NDArray[np.uint8]) -> float:
    """Standard deviation of pixels: from their histogram, in a third of the time of ``pixels.std()``."""
    counts = np.array(Image.fromarray(pixels).histogram(), dtype=np.int64)
    values = np.arange(len(counts))
    total, squares, number = (int((counts * power).sum()) for power in (values, values**2, 1))
    return math.sqrt(max(0, number * squares - total**2)) / max(1, number)


def _saturation_flags(pixels: NDArray[np.uint8]) -> list[QualityFlag]:
    """The flag of clipped values, by the middle of the image: borders and letters may be black and white."""
    height, width = pixels.shape
    middle = pixels[height // 5 : height - height // 5, width // 5 : width - width // 5]
    ends = (middle < _END_LEVELS, middle > 255 - _END_LEVELS)
    black, white = (np.count_nonzero(end) / middle.size for end in ends)  # in a fifth of the time of their means
    if black <= MAX_BLACK_FRACTION and white <= MAX_WHITE_FRACTION:
        return []
    message = f"it is saturated: in its middle, {black:.0%} of the pixels are black and {white:.0%} are white"
    return [QualityFlag("saturated", message)]


def _shape_flags(shape: tuple[int, ...], image_size: int) -> list[QualityFlag]:
    height, width = shape
    flags = []
    if min(height, width) < image_size:
        message = f"it has {width}x{height} pixels, less than the {image_size} that the model sees"
        flags.append(QualityFlag("tiny", message))
    if max(height, width) > MAX_ASPECT_RATIO * min(height, width):
        message = f"its sides are {width} and {height}: it is cropped, or will be squeezed"
        flags.append(QualityFlag("cropped", message))
    return flags


def _view_flags(view_position: str) -> list[QualityFlag]:
    if parse_view_position(view_position) != LATERAL_VIEW:
        return []
    return [QualityFlag("lateral", "its header says that it is a lateral view")]
