"""What a file is by its first and last bytes, without decoding it."""

import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from cxr_lightning.imaging.decoded_image import MAX_PIXELS, ImageRejectedError
from cxr_lightning.imaging.dicom_signature import dicom_kind, is_dicom
from cxr_lightning.imaging.other_kinds import other_kind, with_article
from cxr_lightning.utils.paths import is_lfs_pointer
from cxr_lightning.utils.regular_files import check_file_size, open_regular

MAX_IMAGE_BYTES = 8 * MAX_PIXELS
"""Larger files are refused before they are read: room for 16-bit colors and as much again."""

_APPLE_DOUBLE = b"\x00\x05\x16\x07"
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_END = b"IEND\xaeB`\x82"
SIGNATURE_BYTES = 512
"""Number of bytes at a file's start that identify what it is."""
_SIGNATURES = {
    "PNG": rb"\x89PNG\r\n\x1a\n",
    "JPEG": rb"\xff\xd8\xff",
    "TIFF": rb"II\*\0|MM\0\*|II\0\*|MM\*\0|II\+\0|MM\0\+",
    "JPEG2000": rb"\xff\x4f\xff\x51|\0\0\0\x0cjP  \r\n\x87\n",
    "BMP": rb"BM",
    "GIF": rb"GIF8[79]a",
    "WEBP": rb"RIFF.{4}WEBPVP8[ XL]",
    "PPM": rb"(P[1-6]|Pf|PyP)[\t-\r ]|P0CMYK|PyRGBA|PyCMYK",
}
"""What the files of a format begin with by Pillow's readers, as a pattern."""
_ANY_SIGNATURE = re.compile(b"|".join(b"(?:%s)" % pattern for pattern in _SIGNATURES.values()), re.DOTALL)
IMAGE_FORMATS = tuple(_SIGNATURES)
"""Formats that are read beside DICOM; not all of Pillow's: for some (EPS) it starts another program on the content."""
IMAGE_SUFFIXES = frozenset(
    {
        *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".tif", ".tiff", ".btf", ".jp2", ".j2k", ".j2c", ".jpc"),
        *(".jpf", ".jpx", ".bmp", ".dib", ".gif", ".webp", ".ppm", ".pgm", ".pbm", ".pnm", ".pfm", ".dcm", ".dicom"),
    }
)
"""Suffixes of image files, in small letters."""
_STRICT_PATTERNS = {
    "BMP": rb"BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0",
    "PPM": rb"(P[1-6]|Pf)\s+(#[^\n]*\n\s*)*\d+\s+\d+\s",
}
"""What these formats begin with where the name does not say that a file is an image: two letters begin texts too."""


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


_REMEDY = f"Use one of {', '.join(IMAGE_FORMATS)} or DICOM."
UNKNOWN_FORMAT = NonImage("it is in no image format that is read here", _REMEDY, "not_an_image")
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
        check_file_size(path, MAX_IMAGE_BYTES)
        with open_regular(path) as file:
            head = file.read(SIGNATURE_BYTES)
            size = file.seek(0, 2)
            file.seek(max(0, size - 64))
            tail = file.read()
    except OSError as error:
        return ImageRejectedError.from_os_error(path, error)
    found = identify_non_image(head, size)
    if not found and head.startswith(PNG_SIGNATURE):
        found = None if _PNG_END in tail else CUT_OFF_PNG
    elif not found and not is_dicom(head) and not image_format(head):
        found = unknown_format(head)
    return found.rejection(path) if found else None


def image_format(head: bytes) -> str:
    r"""Which of ``IMAGE_FORMATS`` a file's first bytes are of; empty if none.

    Example:
        >>> image_format(b"GIF89a..."), image_format(b"P5\n16 16 255"), image_format(b"Patient,Age")
        ('GIF', 'PPM', '')
    """
    if not _ANY_SIGNATURE.match(head):
        return ""
    return next(name for name, pattern in _SIGNATURES.items() if re.match(pattern, head, re.DOTALL))


def is_image(head: bytes) -> bool:
    r"""Whether a file's first bytes are those of an image that is read here, whatever its name is.

    Example:
        >>> is_image(b"GIF89a..."), is_image(b"P5\n16 16 255\n"), is_image(b"BMI,Age"), is_image(b"P1 is a patient")
        (True, True, False, False)
    """
    if is_dicom(head):
        return not dicom_kind(head)
    pattern = _STRICT_PATTERNS.get(name := image_format(head))
    return bool(re.match(pattern, head, re.DOTALL) if pattern else name)


def unknown_format(head: bytes) -> NonImage:
    """Why a file is no image that is neither DICOM nor in one of ``IMAGE_FORMATS``; names what it is if that is known.

    Args:
        head: The file's first ``SIGNATURE_BYTES`` bytes.
    """
    kind = other_kind(head)
    if not kind:
        return UNKNOWN_FORMAT
    packed = kind.split()[-1] == "archive" or kind in ("gzip file", "bzip2 file", "xz file", "Zstandard file")
    remedy = "Unpack it first." if packed else "Convert it first." if kind.endswith("image") else _REMEDY
    return NonImage(f"it is {with_article(kind)}, in no image format that is read here", remedy, "not_an_image")


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
    if head.lstrip().lower().startswith((b"<!doctype html", b"<html", b"<?xml")) and b"<svg" not in head:
        return NonImage("it is a web page, not an image", "Download the file itself.", "web_page")
    return None
