"""The bytes of an image file to gray pixels, in this process."""

import struct
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.TiffImagePlugin import PHOTOMETRIC_INTERPRETATION, TiffImageFile

from cxr_lightning.imaging.bit_depth import robust_range, signed_to_8_bits, unsigned_to_8_bits
from cxr_lightning.imaging.decoded_image import MAX_PIXELS, DecodedImage, ImageRejectedError, check_size, count_colored
from cxr_lightning.imaging.deep_color import check_jpeg_2000, decode_deep_color, is_deep_color
from cxr_lightning.imaging.dicom import decode_dicom
from cxr_lightning.imaging.dicom_signature import is_dicom
from cxr_lightning.imaging.signatures import (
    CUT_OFF_PNG,
    PNG_SIGNATURE,
    SIGNATURE_BYTES,
    UNKNOWN_FORMAT,
    image_format,
)

_WIDE_GRAY_MODES = ("I;16", "I;16B", "I;16L", "I;16N", "I")
_STRIP_HEIGHT = 256
"""Number of rows whose colors are looked at at once: an array of a large image takes much memory."""


def decode_here(content: bytes, path: Path | str, *, force: bool = False) -> DecodedImage:
    """Decode an image file's bytes with whatever library reads them.

    Args:
        content: The file's bytes.
        path: Shown in messages.
        force: Decode a DICOM file although its header states that it is no chest radiograph.

    Raises:
        ImageRejectedError: If it is no image, is damaged or too large.
    """
    if is_dicom(content[:SIGNATURE_BYTES]):
        return decode_dicom(content, path, force=force)
    try:
        with Image.open(BytesIO(content), formats=[image_format(content[:SIGNATURE_BYTES])]) as image:
            check_size(*image.size, path)
            if is_deep_color(image):
                return decode_deep_color(content, image)
            ImageOps.exif_transpose(image, in_place=True)
            decoded = gray_image(image, inverted=white_is_zero(image))
            if image.format == "JPEG2000":
                check_jpeg_2000(content, decoded.pixels)
            return decoded
    except ImageRejectedError:
        raise
    except UnidentifiedImageError as error:
        unidentified = CUT_OFF_PNG if content.startswith(PNG_SIGNATURE) else UNKNOWN_FORMAT
        raise unidentified.rejection(path) from error
    except Image.DecompressionBombError as error:
        reason = f"it is too large: more than {MAX_PIXELS:,} pixels"
        raise ImageRejectedError.from_reason(path, reason, code="too_large") from error
    except (OSError, SyntaxError, ValueError, struct.error, EOFError) as error:
        reason = f"it cannot be decoded ({error})"
        raise ImageRejectedError.from_reason(path, reason, "Download or export it again.") from error


def gray_image(image: Image.Image, *, inverted: bool = False) -> DecodedImage:
    """The gray pixels of an image of 8 bits a channel, or of gray with more, in any of Pillow's color modes.

    Args:
        image: An upright image, of a size that was checked.
        inverted: Whether its values of more than 8 bits are brighter the lower they are.

    Raises:
        ValueError: If its values are floating-point numbers.
    """
    return DecodedImage(_to_gray(image, inverted), _color_fraction(image))


def white_is_zero(image: Image.Image) -> bool:
    """Whether a TIFF stores white as zero; Pillow itself inverts those of up to 8 bits."""
    return isinstance(image, TiffImageFile) and image.tag_v2.get(PHOTOMETRIC_INTERPRETATION) == 0


def _to_gray(image: Image.Image, inverted: bool) -> NDArray[np.uint8]:
    if image.mode in _WIDE_GRAY_MODES:
        # convert("L") would clip 16-bit values at 255.
        values = np.asarray(image)
        gray = signed_to_8_bits(values, 16) if robust_range(values)[0] < 0 else unsigned_to_8_bits(values, 16)
        return 255 - gray if inverted else gray
    if image.mode == "F":
        raise ValueError("floating-point pixels have no fixed range")
    if image.mode == "P":
        return np.asarray(image.convert("RGB").convert("L"))
    return np.asarray(image.convert("L"))


def _color_fraction(image: Image.Image) -> float:
    """Fraction of the pixels that are not gray."""
    if image.mode in (*_WIDE_GRAY_MODES, "F", "L", "LA", "La", "1"):
        return 0.0
    width, height = image.size
    boxes = [(0, top, width, min(top + _STRIP_HEIGHT, height)) for top in range(0, height, _STRIP_HEIGHT)]
    return sum(count_colored(np.asarray(image.crop(box).convert("RGB"))) for box in boxes) / (width * height)
