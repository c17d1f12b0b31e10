"""Image files to grey uint8 arrays, and the reason wherever that is not possible."""

import struct
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, UnidentifiedImageError

Interpolation = Literal["nearest", "bilinear", "bicubic", "lanczos"]
BadImagePolicy = Literal["error", "skip"]

FORMATS = ("PNG", "JPEG", "TIFF", "JPEG2000", "BMP", "GIF", "WEBP", "PPM")
"""What is read; not all that Pillow knows: for some (EPS) it starts another program on the file's content."""

MAX_PIXELS = 80_000_000
"""Larger images are refused before they are decoded; the largest detectors give about 20 million pixels."""

_LFS_POINTER = b"version https://git-lfs"
_APPLE_DOUBLE = b"\x00\x05\x16\x07"
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_END = b"IEND\xaeB`\x82"
_UNIDENTIFIED = ("it is in no image format that is read here", f"Use one of {', '.join(FORMATS)}.")
_CUT = ("it is a PNG that is cut off", "Download it again.")
_WIDE_GREY = ("I;16", "I;16B", "I;16L", "I;16N", "I")


class ImageRejectedError(ValueError):
    """A file that is no usable image; the message names the file, the reason and the remedy.

    Made by :meth:`of`; the constructor takes the finished message alone, because a loader's worker
    process rebuilds its exceptions from that.
    """

    path: str = ""
    reason: str = ""
    remedy: str = ""
    lasting: bool = True
    """False if it may be readable another time, though the file stays as it is."""

    @classmethod
    def of(cls, path: Path | str, reason: str, remedy: str = "Replace the file.", *, lasting: bool = True) -> Self:
        """The rejection of one file.

        Args:
            path: The file.
            reason: What was found, as a clause: "it is ...".
            remedy: What to do, as a sentence.
            lasting: Whether the file itself is at fault.
        """
        rejection = cls(f"Expected an image in '{path}' but {reason}. {remedy}")
        rejection.path, rejection.reason, rejection.remedy, rejection.lasting = str(path), reason, remedy, lasting
        return rejection

    @classmethod
    def unreadable(cls, path: Path | str, error: OSError) -> Self:
        """The rejection of a file that the system does not let us read."""
        reason = f"it cannot be read ({error.strerror or error})"
        return cls.of(path, reason, "Check that it is there, its permissions and its disk.", lasting=False)


def read_grey(path: Path) -> NDArray[np.uint8]:
    """Decode an image file to 8-bit grey.

    Transparency is dropped; colour is turned to luminance; 16-bit values are scaled, not clipped.

    Args:
        path: A file in one of ``FORMATS``.

    Returns:
        ``(H, W)`` uint8, bright where the file is bright.

    Raises:
        ImageRejectedError: If it cannot be read, is no image, is damaged, or is larger than ``MAX_PIXELS``.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ImageRejectedError.unreadable(path, error) from error
    return decode_grey(content, path)


def decode_grey(content: bytes, path: Path | str) -> NDArray[np.uint8]:
    """Like :func:`read_grey`, from the file's bytes; ``path`` is for messages only."""
    if reason := _masquerade(content[:64], len(content)):
        raise ImageRejectedError.of(path, *reason)
    try:
        with Image.open(BytesIO(content), formats=FORMATS) as image:
            _check_size(image, path)
            return _to_grey(image)
    except ImageRejectedError:
        raise
    except UnidentifiedImageError as error:
        raise ImageRejectedError.of(path, *(_CUT if content.startswith(_PNG_SIGNATURE) else _UNIDENTIFIED)) from error
    except Image.DecompressionBombError as error:
        raise ImageRejectedError.of(path, f"it is too large: {error}") from error
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
        with path.open("rb") as file:
            head = file.read(64)
            size = file.seek(0, 2)
            file.seek(max(0, size - 64))
            tail = file.read()
    except OSError as error:
        return ImageRejectedError.unreadable(path, error)
    reason = _masquerade(head, size)
    if not reason and head.startswith(_PNG_SIGNATURE):
        reason = None if _PNG_END in tail else _CUT
    elif not reason and not _is_identified(path):
        reason = _UNIDENTIFIED
    return ImageRejectedError.of(path, *reason) if reason else None


def _is_identified(path: Path) -> bool:
    try:
        with Image.open(path, formats=FORMATS):
            return True
    except UnidentifiedImageError:
        return False
    except (OSError, SyntaxError, ValueError, struct.error, Image.DecompressionBombError):
        return True  # but damaged or too large, which decoding says better


def _masquerade(head: bytes, size: int) -> tuple[str, str] | None:
    """What a file with an image's name really is, and the remedy; None if it may be an image."""
    if size == 0:
        return "the file is empty", "Download it again."
    if head.startswith(_LFS_POINTER):
        return f"it is a Git-LFS pointer of {size} bytes, not the image itself", "Run `git lfs pull` in its repository."
    if head.startswith(_APPLE_DOUBLE):
        return "it is a macOS '._' stub, not an image", "Delete the '._*' files; the images have the same name without."
    if head.lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        return "it is a web page, not an image", "Download the file itself."
    return None


def _check_size(image: ImageFile.ImageFile, path: Path | str) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise ImageRejectedError.of(path, f"it has {width}x{height} pixels, more than {MAX_PIXELS:,}")


def _to_grey(image: ImageFile.ImageFile) -> NDArray[np.uint8]:
    if image.mode in _WIDE_GREY:
        # convert("L") would clip 16-bit values at 255.
        wide = np.asarray(image).astype(np.int64)
        return ((np.clip(wide, 0, 65535) + 128) // 257).astype(np.uint8)
    if image.mode == "F":
        raise ValueError("floating-point pixels have no fixed range")
    if image.mode == "P":
        return np.asarray(image.convert("RGB").convert("L"))
    return np.asarray(image.convert("L"))
