"""Image files to gray uint8 arrays, or the reason why a file cannot be read."""

import struct
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError
from PIL.TiffImagePlugin import PHOTOMETRIC_INTERPRETATION, TiffImageFile

from cxr_lightning.imaging.bit_depth import robust_range, signed_to_8_bits, unsigned_to_8_bits
from cxr_lightning.imaging.decoded_image import DecodedImage, ImageRejectedError, check_size, color_fraction
from cxr_lightning.imaging.dicom import decode_dicom, is_dicom
from cxr_lightning.imaging.signatures import (
    CUT_OFF_PNG,
    IMAGE_FORMATS,
    PNG_SIGNATURE,
    SIGNATURE_BYTES,
    UNKNOWN_FORMAT,
    check_regular_file,
    identify_non_image,
)

Interpolation = Literal["nearest", "bilinear", "bicubic", "lanczos"]
BadImagePolicy = Literal["error", "skip"]

_WIDE_GRAY_MODES = ("I;16", "I;16B", "I;16L", "I;16N", "I")


def read_gray(path: Path) -> NDArray[np.uint8]:
    """Decode an image file to 8-bit gray: the pixels of :func:`read_image`."""
    return read_image(path).pixels


def read_image(path: Path, *, force: bool = False) -> DecodedImage:
    """Decode an image file.

    Transparency is dropped; color is converted to luminance; 16-bit values are scaled (:func:`unsigned_to_8_bits`).
    DICOM values go through the file's tables, and MONOCHROME1 is inverted.

    Args:
        path: A file in one of ``IMAGE_FORMATS``, or DICOM.
        force: Decode a DICOM file although its header states that it is no chest radiograph.

    Raises:
        ImageRejectedError: If it cannot be read, is no image, is damaged or too large.
    """
    try:
        check_regular_file(path)
        content = path.read_bytes()
    except OSError as error:
        raise ImageRejectedError.from_os_error(path, error) from error
    except MemoryError as error:
        raise _memory_rejection(path) from error
    return decode_image(content, path, force=force)


def decode_image(content: bytes, path: Path | str, *, force: bool = False) -> DecodedImage:
    """Decode an image file's bytes as :func:`read_image` does; ``path`` is only shown in messages."""
    head = content[:SIGNATURE_BYTES]
    if found := identify_non_image(head, len(content)):
        raise found.rejection(path)
    try:
        if is_dicom(head):
            return decode_dicom(content, path, force=force)
        with Image.open(BytesIO(content), formats=IMAGE_FORMATS) as image:
            check_size(*image.size, path)
            ImageOps.exif_transpose(image, in_place=True)
            return DecodedImage(_to_gray(image), _color_fraction(image))
    except ImageRejectedError:
        raise
    except MemoryError as error:
        raise _memory_rejection(path) from error
    except UnidentifiedImageError as error:
        unidentified = CUT_OFF_PNG if content.startswith(PNG_SIGNATURE) else UNKNOWN_FORMAT
        raise unidentified.rejection(path) from error
    except Image.DecompressionBombError as error:
        raise ImageRejectedError.from_reason(path, f"it is too large: {error}", code="too_large") from error
    except (OSError, SyntaxError, ValueError, struct.error, EOFError) as error:
        reason = f"it cannot be decoded ({error})"
        raise ImageRejectedError.from_reason(path, reason, "Download or export it again.") from error


def resize(pixels: NDArray[np.uint8], size: int, interpolation: Interpolation = "bilinear") -> NDArray[np.uint8]:
    """Resize to a square, antialiased (except ``nearest``); the aspect ratio is not kept.

    Args:
        pixels: ``(H, W)`` uint8.
        size: Side in pixels, S.
        interpolation: ``nearest``, ``bilinear``, ``bicubic`` or ``lanczos``.

    Returns:
        ``(S, S)`` uint8.
    """
    if pixels.shape == (size, size):
        return pixels
    method = Image.Resampling[interpolation.upper()]
    return np.asarray(Image.fromarray(pixels).resize((size, size), method))


class RejectedImagesError(ValueError):
    """Images that cannot be read: their number, the first five with reasons, and what to do.

    Args:
        rejections: At least one.
        total: Number of images that were looked at.
        listed_in: A file that lists all of the rejected images, if there is one.
        skip: The setting that goes on without them, as it is shown; empty if there is none.

    Attributes:
        rejections: The rejected images.
        found: What was found, as a clause.
    """

    def __init__(
        self,
        rejections: Sequence[ImageRejectedError],
        total: int,
        listed_in: Path | None = None,
        skip: str = "'data.on_bad_image=skip'",
    ) -> None:
        self.rejections, self.total, self.listed_in = tuple(rejections), total, listed_in
        several = len(rejections) > 1
        first = "; ".join(f"'{rejection.path}': {rejection.reason}" for rejection in rejections[:5])
        more = "; and more" if len(rejections) > 5 else ""
        self.found = f"{len(rejections):,} of {total:,} images cannot be read: {first}{more}"
        where = f" All are listed in '{listed_in}'." if listed_in else ""
        message = f"{self.found}.{where} Replace them" if several else str(rejections[0]).removesuffix(".")
        remedy = f", or set {skip} to go on without {'them' if several else 'it'}" if skip else ""
        super().__init__(f"{message}{remedy}.")


def _memory_rejection(path: Path | str) -> ImageRejectedError:
    reason, remedy = "there is not enough memory for it", "Stop other programs, or use a machine with more."
    return ImageRejectedError.from_reason(path, reason, remedy, code="no_memory", permanent=False)


def _to_gray(image: ImageFile.ImageFile) -> NDArray[np.uint8]:
    if image.mode in _WIDE_GRAY_MODES:
        # convert("L") would clip 16-bit values at 255.
        values = np.asarray(image).astype(np.int64)
        gray = signed_to_8_bits(values, 16) if robust_range(values)[0] < 0 else unsigned_to_8_bits(values, 16)
        return 255 - gray if _white_is_zero(image) else gray
    if image.mode == "F":
        raise ValueError("floating-point pixels have no fixed range")
    if image.mode == "P":
        return np.asarray(image.convert("RGB").convert("L"))
    return np.asarray(image.convert("L"))


def _white_is_zero(image: ImageFile.ImageFile) -> bool:
    """Whether a TIFF stores white as zero; Pillow itself inverts those of up to 8 bits."""
    return isinstance(image, TiffImageFile) and image.tag_v2.get(PHOTOMETRIC_INTERPRETATION) == 0


def _color_fraction(image: ImageFile.ImageFile) -> float:
    """Fraction of the pixels that are not gray."""
    if image.mode in (*_WIDE_GRAY_MODES, "F", "L", "LA", "La", "1"):
        return 0.0
    return color_fraction(np.asarray(image.convert("RGB")))
