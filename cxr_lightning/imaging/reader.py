"""Image files to gray uint8 arrays, or the reason why a file cannot be read."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cxr_lightning.imaging.decoded_image import DecodedImage, ImageRejectedError
from cxr_lightning.imaging.decoder import decode_here
from cxr_lightning.imaging.dicom_signature import is_dicom
from cxr_lightning.imaging.isolated import decode_isolated
from cxr_lightning.imaging.plain_files import is_plain
from cxr_lightning.imaging.signatures import MAX_IMAGE_BYTES, SIGNATURE_BYTES, identify_non_image
from cxr_lightning.utils.regular_files import read_limited

Interpolation = Literal["nearest", "bilinear", "bicubic", "lanczos"]
BadImagePolicy = Literal["error", "skip"]
FlagPolicy = Literal["keep", "skip", "error"]


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
        content = read_limited(path, MAX_IMAGE_BYTES)
    except OSError as error:
        raise ImageRejectedError.from_os_error(path, error) from error
    except MemoryError as error:
        raise memory_rejection(path) from error
    return decode_image(content, path, force=force)


def decode_image(content: bytes, path: Path | str, *, force: bool = False) -> DecodedImage:
    """Decode an image file's bytes as :func:`read_image` does; ``path`` is only shown in messages."""
    head = content[:SIGNATURE_BYTES]
    if found := identify_non_image(head, len(content)):
        raise found.rejection(path)
    try:
        if is_dicom(head) or not is_plain(content):
            return decode_isolated(content, path, force=force)
        return decode_here(content, path)
    except MemoryError as error:
        raise memory_rejection(path) from error


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


def memory_rejection(path: Path | str) -> ImageRejectedError:
    """The rejection of an image for which there is not enough memory."""
    reason, remedy = "there is not enough memory for it", "Stop other programs, or use a machine with more."
    return ImageRejectedError.from_reason(path, reason, remedy, code="no_memory", permanent=False)


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
        remedies = " ".join(dict.fromkeys(rejection.remedy for rejection in rejections[:5]))
        remedies = remedies.replace("Replace the file.", "Replace them.").removesuffix(".")
        message = f"{self.found}.{where} {remedies}" if several else str(rejections[0]).removesuffix(".")
        remedy = f", or set {skip} to go on without {'them' if several else 'it'}" if skip else ""
        super().__init__(f"{message}{remedy}.")
