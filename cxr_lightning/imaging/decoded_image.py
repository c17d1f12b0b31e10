"""A decoded image file, the error about a file that cannot be one, and the limit on an image's size."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from cxr_lightning.utils.regular_files import FileTooLargeError, NotRegularFileError

MAX_PIXELS, MAX_SIDE = 80_000_000, 65_535
"""Larger images are refused before they are decoded; the largest detectors give about 20 million pixels, and JPEG has
no longer sides. Decoders keep more for a row than its pixels."""

_MIN_COLOR_DIFFERENCE = 16
"""Difference between a pixel's channels, of 255, from which on the pixel counts as colored."""


class ImageRejectedError(ValueError):
    """A file that is no usable image; the message names the file, the reason and the remedy.

    Built by :meth:`from_reason`; the constructor takes the finished message alone, because a loader's worker
    process rebuilds its exceptions from that.
    """

    path: str = ""
    reason: str = ""
    remedy: str = ""
    code: str = ""
    """The kind of reason, for programs."""
    permanent: bool = True
    """False if the file may be readable at another time although it does not change."""

    @classmethod
    def from_reason(
        cls,
        path: Path | str,
        reason: str,
        remedy: str = "Replace the file.",
        *,
        code: str = "damaged",
        permanent: bool = True,
    ) -> Self:
        """Build the rejection of one file.

        Args:
            path: The file.
            reason: What was found, as a clause: "it is ...".
            remedy: What to do, as a sentence.
            code: The kind of reason, for programs.
            permanent: Whether the cause lies in the file itself.
        """
        rejection = cls(f"Expected an image in '{path}' but {reason}. {remedy}")
        rejection.path, rejection.reason, rejection.remedy = str(path), reason, remedy
        rejection.code, rejection.permanent = code, permanent
        return rejection

    @classmethod
    def from_os_error(cls, path: Path | str, error: OSError) -> Self:
        """Build the rejection of a file that is none, is too large, or that the system does not let us read."""
        if isinstance(error, FileTooLargeError):
            return cls.from_reason(path, str(error.strerror), code="too_large")
        if isinstance(error, NotRegularFileError | IsADirectoryError):
            return cls.from_reason(path, "it is no regular file", code="no_file")
        reason = f"it cannot be read ({error.strerror or error})"
        remedy = "Check that it is there, its permissions and its disk."
        return cls.from_reason(path, reason, remedy, code="unreadable", permanent=False)


class QualityFlag(NamedTuple):
    """One sign that an image is not what a model was trained on."""

    code: str
    """The kind of sign, for programs."""
    message: str
    """The description for people, a clause."""


@dataclass(frozen=True)
class DecodedImage:
    """A decoded image file, and what its header states.

    Attributes:
        pixels: ``(H, W)`` uint8; bright is dense.
        color_fraction: Fraction of the pixels that are not gray, in [0, 1].
        view_position: View position in the file's header: ``PA``, ``AP`` or ``LATERAL``; empty if it states none.
        flags: Signs that were found while it was decoded, by its header or stored values.
    """

    pixels: NDArray[np.uint8]
    color_fraction: float = 0.0
    view_position: str = ""
    flags: tuple[QualityFlag, ...] = ()


def color_fraction(channels: NDArray[np.integer]) -> float:
    """Fraction of the pixels that are not gray, in [0, 1].

    Args:
        channels: ``(H, W, 3)``.

    Example:
        >>> color_fraction(np.array([[[9, 9, 9], [90, 9, 9]]]))
        0.5
    """
    return count_colored(channels) / max(1, channels[..., 0].size)


def count_colored(channels: NDArray[np.integer]) -> int:
    """Number of the pixels that are not gray.

    Args:
        channels: ``(H, W, 3)``.
    """
    red, green, blue = (channels[..., number] for number in range(3))
    highest, lowest = np.maximum(np.maximum(red, green), blue), np.minimum(np.minimum(red, green), blue)
    return int((highest - lowest >= _MIN_COLOR_DIFFERENCE).sum())


def check_size(width: int, height: int, path: Path | str) -> None:
    """Refuse an image of more than ``MAX_PIXELS``, or of a longer side than ``MAX_SIDE``.

    Raises:
        ImageRejectedError: If the image is larger.
    """
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE:
        bound = f"more than {MAX_PIXELS:,}" if width * height > MAX_PIXELS else f"a side of more than {MAX_SIDE:,}"
        reason = f"it has {width}x{height} pixels, {bound}"
        raise ImageRejectedError.from_reason(path, reason, code="too_large")
