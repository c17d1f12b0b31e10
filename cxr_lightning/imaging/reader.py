"""Image files to grey uint8 arrays, and the reason wherever that is not possible."""

import struct
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError
from PIL.TiffImagePlugin import PHOTOMETRIC_INTERPRETATION, TiffImageFile

from cxr_lightning.imaging.decoded_image import (
    ImageRejectedError,
    Picture,
    bulk,
    check_size,
    share_of_colour,
    signed_to_8_bits,
    to_8_bits,
)
from cxr_lightning.imaging.dicom import decode_dicom, is_dicom
from cxr_lightning.imaging.signatures import (
    CUT,
    FORMATS,
    HEAD,
    PNG_SIGNATURE,
    UNIDENTIFIED,
    check_file,
    masquerade,
    rejection_of,
)

Interpolation = Literal["nearest", "bilinear", "bicubic", "lanczos"]
BadImagePolicy = Literal["error", "skip"]

_WIDE_GREY = ("I;16", "I;16B", "I;16L", "I;16N", "I")


def read_grey(path: Path) -> NDArray[np.uint8]:
    """Decode an image file to 8-bit grey: the pixels of :func:`read_picture`."""
    return read_picture(path).pixels


def read_picture(path: Path, *, force: bool = False) -> Picture:
    """Decode an image file.

    Transparency is dropped; colour is turned to luminance; 16-bit values are scaled (:func:`to_8_bits`). DICOM's values
    go through its tables, and MONOCHROME1 is inverted.

    Args:
        path: A file in one of ``FORMATS``, or DICOM.
        force: Go on with a DICOM file that is no chest radiograph by its header.

    Raises:
        ImageRejectedError: If it cannot be read, is no image, is damaged or too large.
    """
    try:
        check_file(path)
        content = path.read_bytes()
    except OSError as error:
        raise ImageRejectedError.unreadable(path, error) from error
    except MemoryError as error:
        raise _no_memory(path) from error
    return decode_picture(content, path, force=force)


def decode_picture(content: bytes, path: Path | str, *, force: bool = False) -> Picture:
    """Like :func:`read_picture`, from the file's bytes; ``path`` is for messages only."""
    head = content[:HEAD]
    if reason := masquerade(head, len(content)):
        raise rejection_of(path, reason)
    try:
        if is_dicom(head):
            return decode_dicom(content, path, force=force)
        with Image.open(BytesIO(content), formats=FORMATS) as image:
            check_size(*image.size, path)
            ImageOps.exif_transpose(image, in_place=True)
            return Picture(_to_grey(image), _coloured(image))
    except ImageRejectedError:
        raise
    except MemoryError as error:
        raise _no_memory(path) from error
    except UnidentifiedImageError as error:
        raise rejection_of(path, CUT if content.startswith(PNG_SIGNATURE) else UNIDENTIFIED) from error
    except Image.DecompressionBombError as error:
        raise ImageRejectedError.of(path, f"it is too large: {error}", code="too_large") from error
    except (OSError, SyntaxError, ValueError, struct.error, EOFError) as error:
        raise ImageRejectedError.of(path, f"it cannot be decoded ({error})", "Download or export it again.") from error


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


def refusal(rejections: Sequence[ImageRejectedError], listed_in: Path | None = None) -> ValueError:
    """An error about images that cannot be used: their number, the first five with their reasons, and what to do.

    Args:
        rejections: At least one.
        listed_in: A file that names all of them, if there is one.
    """
    skip = "or set 'data.on_bad_image=skip' to go on without"
    if len(rejections) == 1:
        return ValueError(f"{str(rejections[0]).removesuffix('.')}, {skip} it.")
    first = "; ".join(f"'{rejection.path}': {rejection.reason}" for rejection in rejections[:5])
    more = "; and more" if len(rejections) > 5 else ""
    where = f" All are listed in '{listed_in}'." if listed_in else ""
    return ValueError(
        f"Expected images but {len(rejections):,} broken: {first}{more}.{where} Replace them, {skip} them."
    )


def _no_memory(path: Path | str) -> ImageRejectedError:
    reason, remedy = "there is not enough memory for it", "Stop other programs, or use a machine with more."
    return ImageRejectedError.of(path, reason, remedy, code="no_memory", lasting=False)


def _to_grey(image: ImageFile.ImageFile) -> NDArray[np.uint8]:
    if image.mode in _WIDE_GREY:
        # convert("L") would clip 16-bit values at 255.
        values = np.asarray(image).astype(np.int64)
        grey = signed_to_8_bits(values, 16) if bulk(values)[0] < 0 else to_8_bits(values, 16)
        return 255 - grey if _white_is_zero(image) else grey
    if image.mode == "F":
        raise ValueError("floating-point pixels have no fixed range")
    if image.mode == "P":
        return np.asarray(image.convert("RGB").convert("L"))
    return np.asarray(image.convert("L"))


def _white_is_zero(image: ImageFile.ImageFile) -> bool:
    """Whether a TIFF says so; Pillow itself inverts those of up to 8 bits."""
    return isinstance(image, TiffImageFile) and image.tag_v2.get(PHOTOMETRIC_INTERPRETATION) == 0


def _coloured(image: ImageFile.ImageFile) -> float:
    """Share of the pixels that are no grey."""
    if image.mode in (*_WIDE_GREY, "F", "L", "LA", "La", "1"):
        return 0.0
    return share_of_colour(np.asarray(image.convert("RGB")))
