"""What is suspicious about a decoded image: signs that it is not what a model was trained on."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cxr_lightning.imaging.decoded_image import Picture
from cxr_lightning.imaging.reader import resize

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
UNLIKE, INVERTED = 0.3, -0.2
"""Correlations with it, below which an image is no upright frontal chest, and below which it is one turned over."""
BLANK, FLAT = 4.0, 15.0
"""Standard deviations of the pixels, of 255."""
COLOURED = 0.02
"""Share of the pixels."""
LONG = 1.5
"""Ratio of the sides."""
_LATERAL = ("LL", "RL", "LAT", "LATERAL", "LEFT LATERAL", "RIGHT LATERAL")


class Remark(NamedTuple):
    """Something suspicious."""

    code: str
    """For programs."""
    words: str
    """For people, a clause."""


def check_picture(picture: Picture, image_size: int) -> list[Remark]:
    """Everything suspicious about an image; nothing of it makes it unusable.

    Args:
        picture: Decoded.
        image_size: Side that the model is given, in pixels.
    """
    return [*_check_values(picture), *_check_shape(picture.pixels.shape, image_size), *_check_view(picture.view)]


def resemblance(pixels: NDArray[np.uint8]) -> float:
    """Correlation of an image with the average chest, in [-1, 1]; 0 for one without contrast.

    Args:
        pixels: ``(H, W)``.
    """
    small = resize(pixels, len(AVERAGE_CHEST)).astype(np.float64)
    if small.std() == 0:
        return 0.0
    return float(np.corrcoef(small.ravel(), AVERAGE_CHEST.ravel())[0, 1])


def _check_values(picture: Picture) -> list[Remark]:
    pixels = picture.pixels
    found = []
    if picture.colour >= COLOURED:
        found.append(Remark("colour", f"{picture.colour:.0%} of its pixels are coloured, as of a photograph"))
    deviation = float(pixels.std())
    if pixels.max(initial=0) <= 1:
        return [*found, Remark("scaled_to_1", "its values end at 1, not at 255: all of it is black")]
    if deviation < BLANK:
        return [*found, Remark("nearly_blank", f"it is nearly blank (standard deviation {deviation:.1f} of 255)")]
    if deviation < FLAT:
        found.append(Remark("low_contrast", f"it has very low contrast (standard deviation {deviation:.1f} of 255)"))
    likeness = resemblance(pixels)
    if likeness < INVERTED:
        words = "it is likely inverted (bones are to be bright) or upside down"
        found.append(Remark("inverted", f"{words}: correlation {likeness:.2f} with an average chest"))
    elif likeness < UNLIKE:
        words = "it does not look like an upright frontal chest radiograph"
        found.append(Remark("unlike_chest", f"{words}: correlation {likeness:.2f} with an average one"))
    return found


def _check_shape(shape: tuple[int, ...], image_size: int) -> list[Remark]:
    height, width = shape
    found = []
    if min(height, width) < image_size:
        found.append(Remark("tiny", f"it has {width}x{height} pixels, less than the {image_size} that the model sees"))
    if max(height, width) > LONG * min(height, width):
        found.append(Remark("cropped", f"its sides are {width} and {height}: it is cropped, or will be squeezed"))
    return found


def _check_view(view: str) -> list[Remark]:
    if view not in _LATERAL:
        return []
    return [Remark("lateral", f"its header says that it is a lateral view ({view})")]
