"""What a file is by its first and last bytes, without decoding it."""

import stat
import struct
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from PIL import Image, UnidentifiedImageError

from cxr_lightning.imaging.decoded_image import MAX_PIXELS, ImageRejectedError
from cxr_lightning.imaging.dicom import is_dicom
from cxr_lightning.utils.paths import is_lfs_pointer

IMAGE_FORMATS = ("PNG", "JPEG", "TIFF", "JPEG2000", "BMP", "GIF", "WEBP", "PPM")
"""Formats that are read beside DICOM; not all of Pillow's: for some (EPS) it starts another program on the content."""

MAX_IMAGE_BYTES = 8 * MAX_PIXELS
"""Larger files are refused before they are read: room for 16-bit colors and as much again."""

_APPLE_DOUBLE = b"\x00\x05\x16\x07"
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_END = b"IEND\xaeB`\x82"
SIGNATURE_BYTES = 256
"""Number of bytes at a file's start that identify what it is."""


class NonImage(NamedTuple):
    """Why a file is no image."""

    reason: str
    """What it is instead, as a clause."""
    remedy: str
    """What to do, as a sentence."""
    code: str
    """The kind of reason, for programs."""

    def rejection(self, path: Path | str) -> ImageRejectedError:
        """The error about the file."""
        return ImageRejectedError.from_reason(path, self.reason, self.remedy, code=self.code)


UNKNOWN_FORMAT = NonImage(
    "it is in no image format that is read here",
    f"Use one of {', '.join(IMAGE_FORMATS)} or DICOM.",
    "not_an_image",
)
CUT_OFF_PNG = NonImage("it is a PNG that is cut off", "Download it again.", "cut_off")


def find_unreadable(paths: Sequence[Path]) -> list[ImageRejectedError]:
    """Look at every file's first and last bytes, and name those that cannot be images.

    Finds empty files, Git-LFS pointers, macOS ``._`` stubs, files that are no image, and cut-off PNGs,
    without decoding: thousands of files a second on a local disk.

    Args:
        paths: Files.

    Returns:
        One rejection per unreadable file, in the order of ``paths``.
    """
    with ThreadPoolExecutor(max_workers=16) as pool:  # threads: the time is the disk's or the network's
        return [rejection for rejection in pool.map(_inspect, paths) if rejection]


def _inspect(path: Path) -> ImageRejectedError | None:
    try:
        check_regular_file(path)
        with path.open("rb") as file:
            head = file.read(SIGNATURE_BYTES)
            size = file.seek(0, 2)
            file.seek(max(0, size - 64))
            tail = file.read()
    except ImageRejectedError as rejection:
        return rejection
    except OSError as error:
        return ImageRejectedError.from_os_error(path, error)
    found = identify_non_image(head, size)
    if not found and head.startswith(PNG_SIGNATURE):
        found = None if _PNG_END in tail else CUT_OFF_PNG
    elif not found and not is_dicom(head) and not _is_identified(path):
        found = UNKNOWN_FORMAT
    return found.rejection(path) if found else None


def _is_identified(path: Path) -> bool:
    try:
        with Image.open(path, formats=IMAGE_FORMATS):
            return True
    except UnidentifiedImageError:
        return False
    except (OSError, SyntaxError, ValueError, struct.error, Image.DecompressionBombError):
        return True  # an image, but damaged or too large: decoding gives the better message


def check_regular_file(path: Path) -> None:
    """Refuse a path that is no regular file, or a file that is too large to be read into memory.

    Raises:
        ImageRejectedError: If it is refused.
        OSError: If the file is not there, or may not be looked at.
    """
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise ImageRejectedError.from_reason(path, "it is no regular file", code="no_file")
    if found.st_size > MAX_IMAGE_BYTES:
        reason = f"it has {found.st_size:,} bytes, more than {MAX_IMAGE_BYTES:,}"
        raise ImageRejectedError.from_reason(path, reason, code="too_large")


def identify_non_image(head: bytes, size: int) -> NonImage | None:
    """What a file with an image's name really is; None if it may be an image.

    Args:
        head: The file's first ``SIGNATURE_BYTES`` bytes.
        size: Size of the file in bytes.
    """
    if size == 0:
        return NonImage("the file is empty", "Download it again.", "empty")
    if is_lfs_pointer(head):
        reason = f"it is a Git-LFS pointer of {size} bytes, not the image itself"
        return NonImage(reason, "Run `git lfs pull` in its repository.", "lfs_pointer")
    if head.startswith(_APPLE_DOUBLE):
        remedy = "Delete the '._*' files; the images have the same name without."
        return NonImage("it is a macOS '._' stub, not an image", remedy, "macos_stub")
    if head.lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        return NonImage("it is a web page, not an image", "Download the file itself.", "web_page")
    return None
