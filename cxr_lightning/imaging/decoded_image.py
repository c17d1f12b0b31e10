"""What a decoded image file is, or why it cannot be one."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

MAX_PIXELS = 80_000_000
"""Larger images are refused before they are decoded; the largest detectors give about 20 million pixels."""

_COLOURED = 16
"""Steps between a pixel's channels from which on it is no grey."""


class ImageRejectedError(ValueError):
    """A file that is no usable image; the message names the file, the reason and the remedy.

    Made by :meth:`of`; the constructor takes the finished message alone, because a loader's worker
    process rebuilds its exceptions from that.
    """

    path: str = ""
    reason: str = ""
    remedy: str = ""
    code: str = ""
    """The kind of reason, for programs."""
    lasting: bool = True
    """False if it may be readable another time, though the file stays as it is."""

    @classmethod
    def of(
        cls,
        path: Path | str,
        reason: str,
        remedy: str = "Replace the file.",
        *,
        code: str = "damaged",
        lasting: bool = True,
    ) -> Self:
        """The rejection of one file.

        Args:
            path: The file.
            reason: What was found, as a clause: "it is ...".
            remedy: What to do, as a sentence.
            code: The kind of reason.
            lasting: Whether the file itself is at fault.
        """
        rejection = cls(f"Expected an image in '{path}' but {reason}. {remedy}")
        rejection.path, rejection.reason, rejection.remedy = str(path), reason, remedy
        rejection.code, rejection.lasting = code, lasting
        return rejection

    @classmethod
    def unreadable(cls, path: Path | str, error: OSError) -> Self:
        """The rejection of a file that the system does not let us read."""
        reason = f"it cannot be read ({error.strerror or error})"
        remedy = "Check that it is there, its permissions and its disk."
        return cls.of(path, reason, remedy, code="unreadable", lasting=False)


@dataclass(frozen=True)
class Picture:
    """A decoded image, and what its file says of it.

    Attributes:
        pixels: ``(H, W)`` uint8; bright is dense.
        colour: Share of the pixels whose colour is not a grey, in [0, 1].
        view: View position by the file's header, such as ``PA``; empty if it has none.
    """

    pixels: NDArray[np.uint8]
    colour: float = 0.0
    view: str = ""


def share_of_colour(channels: NDArray[np.integer]) -> float:
    """Share of the pixels that are no grey, in [0, 1].

    Args:
        channels: ``(H, W, 3)``.

    Example:
        >>> share_of_colour(np.array([[[9, 9, 9], [90, 9, 9]]]))
        0.5
    """
    return float((np.ptp(channels, axis=-1) >= _COLOURED).mean())


def check_size(width: int, height: int, path: Path | str) -> None:
    """Refuse an image of more than ``MAX_PIXELS``.

    Raises:
        ImageRejectedError: If it has.
    """
    if width * height > MAX_PIXELS:
        reason = f"it has {width}x{height} pixels, more than {MAX_PIXELS:,}"
        raise ImageRejectedError.of(path, reason, code="too_large")


def to_8_bits(values: NDArray[np.integer], bits: int) -> NDArray[np.uint8]:
    """Scale whole numbers to [0, 255].

    The scale is that of :func:`depth`: of ``bits``, or of others where the values need more, or leave at least two
    unused (from either end). One value in a thousand at either end has no part in that, and is clipped: a hot pixel
    does not darken all others. Values and ``2 ** bits - 1 - values`` give pictures that are each other's negative.

    Args:
        values: Any shape, not negative; declared to be below ``2 ** bits``.
        bits: At least 1.

    Example:
        >>> to_8_bits(np.array([0, 32768, 65535]), 16), to_8_bits(np.array([0, 2048, 4095]), 16)
        (array([  0, 128, 255], dtype=uint8), array([  0, 128, 255], dtype=uint8))
    """
    low, high = bulk(values)
    bits = max(bits, high.bit_length())
    limit = (1 << bits) - 1
    if limit - low >= high:
        return scaled(values, depth(high, bits))
    return 255 - scaled(limit - values.astype(np.int64), depth(limit - low, bits))


def signed_to_8_bits(values: NDArray[np.integer], bits: int) -> NDArray[np.uint8]:
    """Scale whole numbers of both signs to [0, 255], as :func:`to_8_bits`; zero is in the middle if there are both.

    Values and ``-1 - values`` give pictures that are each other's negative.

    Args:
        values: Any shape; declared to be in [-2 ** (bits - 1), 2 ** (bits - 1) - 1].
        bits: At least 1.

    Example:
        >>> signed_to_8_bits(np.array([-128, 0, 127]), 8), signed_to_8_bits(np.array([0, 4095]), 16)
        (array([  0, 128, 255], dtype=uint8), array([  0, 255], dtype=uint8))
    """
    values = values.astype(np.int64)
    low, high = bulk(values)
    if low >= 0:
        return to_8_bits(values.clip(min=0), max(1, bits - 1))
    if high < 0:
        return 255 - to_8_bits((-1 - values).clip(min=0), max(1, bits - 1))
    bits = depth(2 * max(high, -1 - low) + 1, bits)
    return scaled(values + (1 << (bits - 1)), bits)


def bulk(values: NDArray[np.integer]) -> tuple[int, int]:
    """The lowest and the highest of all values but one in a thousand at either end; zeros if there are none.

    Example:
        >>> bulk(np.array([3, 9])), bulk(np.append(np.ones(5000, int), 60000))
        ((3, 9), (1, 1))
    """
    if not values.size:
        return 0, 0
    left_out = values.size // 1000
    ordered = np.partition(values, [left_out, values.size - 1 - left_out], axis=None)
    return int(ordered[left_out]), int(ordered[-1 - left_out])


def depth(highest: int, bits: int) -> int:
    """The bits that values up to ``highest`` have, where a file says ``bits``: more, if it must be.

    Fewer where at least two would not be used: 12-bit values are often kept in files of 16 bits, and would be nearly
    black. It is an even number then, and at least 8.

    Example:
        >>> depth(65535, 16), depth(4000, 16), depth(4000, 13), depth(9, 16), depth(300, 8)
        (16, 12, 13, 8, 9)
    """
    needed = highest.bit_length()
    fewer = max(8, needed + needed % 2)
    return fewer if fewer <= bits - 2 else max(bits, needed)


def scaled(values: NDArray[np.integer], bits: int) -> NDArray[np.uint8]:
    """Whole numbers in [0, 2 ** bits - 1] to [0, 255], rounded; what is beyond is clipped. There are no halves."""
    limit = (1 << bits) - 1
    return ((values.astype(np.int64).clip(0, limit) * 255 + limit // 2) // limit).astype(np.uint8)
