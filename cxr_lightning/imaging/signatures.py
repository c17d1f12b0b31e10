"""What a file is by its first and last bytes, without decoding it."""

import stat
import struct
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from cxr_lightning.imaging.decoded_image import MAX_PIXELS, ImageRejectedError
from cxr_lightning.imaging.dicom import is_dicom

FORMATS = ("PNG", "JPEG", "TIFF", "JPEG2000", "BMP", "GIF", "WEBP", "PPM")
"""What is read beside DICOM; not all that Pillow knows: for some (EPS) it starts another program on the content."""

MAX_BYTES = 8 * MAX_PIXELS
"""Larger files are refused before they are read: 16-bit colours and as much again."""

_LFS_POINTER = b"version https://git-lfs"
_APPLE_DOUBLE = b"\x00\x05\x16\x07"
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_END = b"IEND\xaeB`\x82"
HEAD = 256
"""Bytes of a file's start that tell what it is."""
UNIDENTIFIED = (
    "it is in no image format that is read here",
    f"Use one of {', '.join(FORMATS)} or DICOM.",
    "not_an_image",
)
CUT = ("it is a PNG that is cut off", "Download it again.", "cut_off")


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


def _inspect(path: Path) -> ImageRejectedError | None:
    try:
        check_file(path)
        with path.open("rb") as file:
            head = file.read(HEAD)
            size = file.seek(0, 2)
            file.seek(max(0, size - 64))
            tail = file.read()
    except ImageRejectedError as rejection:
        return rejection
    except OSError as error:
        return ImageRejectedError.unreadable(path, error)
    reason = masquerade(head, size)
    if not reason and head.startswith(PNG_SIGNATURE):
        reason = None if _PNG_END in tail else CUT
    elif not reason and not is_dicom(head) and not _is_identified(path):
        reason = UNIDENTIFIED
    return rejection_of(path, reason) if reason else None


def _is_identified(path: Path) -> bool:
    try:
        with Image.open(path, formats=FORMATS):
            return True
    except UnidentifiedImageError:
        return False
    except (OSError, SyntaxError, ValueError, struct.error, Image.DecompressionBombError):
        return True  # but damaged or too large, which decoding says better


def check_file(path: Path) -> None:
    """Refuse what cannot be read whole into memory.

    Raises:
        ImageRejectedError: If it cannot.
        OSError: If it is not there, or not to be looked at.
    """
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise ImageRejectedError.of(path, "it is no regular file", code="no_file")
    if found.st_size > MAX_BYTES:
        reason = f"it has {found.st_size:,} bytes, more than {MAX_BYTES:,}"
        raise ImageRejectedError.of(path, reason, code="too_large")


def rejection_of(path: Path | str, found: tuple[str, str, str]) -> ImageRejectedError:
    """A rejection from reason, remedy and code."""
    reason, remedy, code = found
    return ImageRejectedError.of(path, reason, remedy, code=code)


def masquerade(head: bytes, size: int) -> tuple[str, str, str] | None:
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
