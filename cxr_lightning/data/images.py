"""Image files to grey uint8 arrays, and the reason wherever that is not possible."""

import stat
import struct
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError
from PIL.TiffImagePlugin import PHOTOMETRIC_INTERPRETATION, TiffImageFile

from cxr_lightning.data.dicom import decode_dicom, is_dicom
from cxr_lightning.data.picture import (
    MAX_PIXELS,
    ImageRejectedError,
    Picture,
    check_size,
    share_of_colour,
    signed_to_8_bits,
    to_8_bits,
)

Interpolation = Literal["nearest", "bilinear", "bicubic", "lanczos"]
BadImagePolicy = Literal["error", "skip"]

FORMATS = ("PNG", "JPEG", "TIFF", "JPEG2000", "BMP", "GIF", "WEBP", "PPM")
"""What is read beside DICOM; not all that Pillow knows: for some (EPS) it starts another program on the content."""

MAX_BYTES = 8 * MAX_PIXELS
"""Larger files are refused before they are read: 16-bit colours and as much again."""

_LFS_POINTER = b"version https://git-lfs"
_APPLE_DOUBLE = b"\x00\x05\x16\x07"
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_END = b"IEND\xaeB`\x82"
_HEAD = 256
"""Bytes of a file's start that tell what it is."""
_UNIDENTIFIED = (
    "it is in no image format that is read here",
    f"Use one of {', '.join(FORMATS)} or DICOM.",
    "not_an_image",
)
_CUT = ("it is a PNG that is cut off", "Download it again.", "cut_off")
_WIDE_GREY = ("I;16", "I;16B", "I;16L", "I;16N", "I")


def read_grey(path: Path) -> NDArray[np.uint8]:
    """Decode an image file to 8-bit grey: the pixels of :func:`read_picture`."""
    return read_picture(path).pixels


def read_picture(path: Path, *, force: bool = False) -> Picture:
    """Decode an image file.

    Transparency is dropped; colour is turned to luminance; 16-bit values are scaled, not clipped. DICOM's values go
    through its tables, and MONOCHROME1 is inverted.

    Args:
        path: A file in one of ``FORMATS``, or DICOM.
        force: Go on with a DICOM file that is no chest radiograph by its header.

    Raises:
        ImageRejectedError: If it cannot be read, is no image, is damaged, or is larger than ``MAX_PIXELS``.
    """
    try:
        _check_file(path)
        content = path.read_bytes()
    except OSError as error:
        raise ImageRejectedError.unreadable(path, error) from error
    except MemoryError as error:
        raise _no_memory(path) from error
    return decode_picture(content, path, force=force)


def decode_picture(content: bytes, path: Path | str, *, force: bool = False) -> Picture:
    """Like :func:`read_picture`, from the file's bytes; ``path`` is for messages only."""
    head = content[:_HEAD]
    if reason := _masquerade(head, len(content)):
        raise _rejection(path, reason)
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
        raise _rejection(path, _CUT if content.startswith(_PNG_SIGNATURE) else _UNIDENTIFIED) from error
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


def find_broken(paths: Sequence[Path]) -> list[ImageRejectedError]:
    """Look at every file's first and last bytes, and name those that cannot be images.

    Finds empty files, Git-LFS pointers, macOS ``._`` stubs, files that are no image, and cut-off PNGs,
    without decoding: thousands of files a second on a local disk.

    Args:
        paths: Files.

    Returns:
        One rejection per broken file, in the order of ``paths``.
    """
    with ThreadPoolExecutor(max_workers=16) as pool:  # threads: the time is the disk's or the network's
        return [rejection for rejection in pool.map(_inspect, paths) if rejection]


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


def _inspect(path: Path) -> ImageRejectedError | None:
    try:
        _check_file(path)
        with path.open("rb") as file:
            head = file.read(_HEAD)
            size = file.seek(0, 2)
            file.seek(max(0, size - 64))
            tail = file.read()
    except ImageRejectedError as rejection:
        return rejection
    except OSError as error:
        return ImageRejectedError.unreadable(path, error)
    reason = _masquerade(head, size)
    if not reason and head.startswith(_PNG_SIGNATURE):
        reason = None if _PNG_END in tail else _CUT
    elif not reason and not is_dicom(head) and not _is_identified(path):
        reason = _UNIDENTIFIED
    return _rejection(path, reason) if reason else None


def _is_identified(path: Path) -> bool:
    try:
        with Image.open(path, formats=FORMATS):
            return True
    except UnidentifiedImageError:
        return False
    except (OSError, SyntaxError, ValueError, struct.error, Image.DecompressionBombError):
        return True  # but damaged or too large, which decoding says better


def _check_file(path: Path) -> None:
    """Refuse what cannot be read whole into memory."""
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise ImageRejectedError.of(path, "it is no regular file", code="no_file")
    if found.st_size > MAX_BYTES:
        reason = f"it has {found.st_size:,} bytes, more than {MAX_BYTES:,}"
        raise ImageRejectedError.of(path, reason, code="too_large")


def _no_memory(path: Path | str) -> ImageRejectedError:
    reason, remedy = "there is not enough memory for it", "Stop other programs, or use a machine with more."
    return ImageRejectedError.of(path, reason, remedy, code="no_memory", lasting=False)


def _rejection(path: Path | str, found: tuple[str, str, str]) -> ImageRejectedError:
    reason, remedy, code = found
    return ImageRejectedError.of(path, reason, remedy, code=code)


def _masquerade(head: bytes, size: int) -> tuple[str, str, str] | None:
    """What a file with an image's name really is, the remedy, and the code; None if it may be an image."""
    if size == 0:
        return "the file is empty", "Download it again.", "empty"
    if head.startswith(_LFS_POINTER):
        reason = f"it is a Git-LFS pointer of {size} bytes, not the image itself"
        return reason, "Run `git lfs pull` in its repository.", "lfs_pointer"
    if head.startswith(_APPLE_DOUBLE):
        remedy = "Delete the '._*' files; the images have the same name without."
        return "it is a macOS '._' stub, not an image", remedy, "macos_stub"
    if head.lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        return "it is a web page, not an image", "Download the file itself.", "web_page"
    return None


def _to_grey(image: ImageFile.ImageFile) -> NDArray[np.uint8]:
    if image.mode in _WIDE_GREY:
        # convert("L") would clip 16-bit values at 255.
        values = np.asarray(image).astype(np.int64)
        grey = signed_to_8_bits(values, 16) if values.min(initial=0) < 0 else to_8_bits(values, 16)
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
