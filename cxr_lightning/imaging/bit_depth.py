"""Pixel values of any bit depth to 8 bits, by the range that nearly all of the values are in."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

_PART_SIZE = 1 << 20
"""Number of values that are computed at once: temporary arrays stay small, whatever an image's size is."""


def unsigned_to_8_bits(values: NDArray[np.integer], bits: int) -> NDArray[np.uint8]:
    """Scale integers that are not negative to [0, 255].

    The scale is that of :func:`effective_bits`: of ``bits``, or of more where the values need more, or of fewer where
    the values leave at least two bits unused (counted from either end). It is taken from the :func:`robust_range`, so
    that a hot pixel does not darken all others; values beyond are clipped. Values and ``2 ** bits - 1 - values`` give
    images that are each other's negative.

    Args:
        values: Any shape, not negative; declared to be below ``2 ** bits``.
        bits: At least 1.

    Example:
        >>> unsigned_to_8_bits(np.array([0, 32768, 65535]), 16), unsigned_to_8_bits(np.array([0, 2048, 4095]), 16)
        (array([  0, 128, 255], dtype=uint8), array([  0, 128, 255], dtype=uint8))
    """
    low, high = robust_range(values)
    bits = max(bits, high.bit_length())
    limit = (1 << bits) - 1
    if limit - low >= high:
        return scale_to_8_bits(values, effective_bits(high, bits))
    bits = effective_bits(limit - low, bits)
    return by_parts(lambda part: 255 - scale_to_8_bits(limit - part.astype(np.int64), bits), values)


def signed_to_8_bits(values: NDArray[np.integer], bits: int) -> NDArray[np.uint8]:
    """Scale integers of both signs to [0, 255]; zero is in the middle if there are both signs.

    The scale is chosen as in :func:`unsigned_to_8_bits`. Values and ``-1 - values`` give images that are each other's
    negative.

    Args:
        values: Any shape; declared to be in [-2 ** (bits - 1), 2 ** (bits - 1) - 1].
        bits: At least 1.

    Example:
        >>> signed_to_8_bits(np.array([-128, 0, 127]), 8), signed_to_8_bits(np.array([0, 4095]), 16)
        (array([  0, 128, 255], dtype=uint8), array([  0, 255], dtype=uint8))
    """
    values = values.astype(np.int64) if values.dtype.kind == "u" else values
    low, high = robust_range(values)
    if low >= 0:
        return unsigned_to_8_bits(values.clip(min=0), max(1, bits - 1))
    if high < 0:
        return 255 - unsigned_to_8_bits((-1 - values).clip(min=0), max(1, bits - 1))
    bits = effective_bits(2 * max(high, -1 - low) + 1, bits)
    return by_parts(lambda part: scale_to_8_bits(part.astype(np.int64) + (1 << (bits - 1)), bits), values)


def robust_range(values: NDArray[np.integer]) -> tuple[int, int]:
    """Lowest and highest value after one in a thousand is dropped at either end; zeros if there are no values.

    Example:
        >>> robust_range(np.array([3, 9])), robust_range(np.append(np.ones(5000, int), 60000))
        ((3, 9), (1, 1))
    """
    if not values.size:
        return 0, 0
    dropped = values.size // 1000
    ordered = np.partition(values, [dropped, values.size - 1 - dropped], axis=None)
    return int(ordered[dropped]), int(ordered[-1 - dropped])


def effective_bits(highest: int, bits: int) -> int:
    """Bit depth of values up to ``highest`` that are declared to have ``bits``; more than that if they need more.

    Fewer where at least two bits would not be used: 12-bit values are often kept in files of 16 bits, and would be
    nearly black. The result is an even number then, and at least 8.

    Example:
        >>> effective_bits(65535, 16), effective_bits(4000, 16), effective_bits(4000, 13)
        (16, 12, 13)
        >>> effective_bits(9, 16), effective_bits(300, 8)
        (8, 9)
    """
    needed = highest.bit_length()
    fewer = max(8, needed + needed % 2)
    return fewer if fewer <= bits - 2 else max(bits, needed)


def scale_to_8_bits(values: NDArray[np.integer], bits: int) -> NDArray[np.uint8]:
    """Scale integers from [0, 2 ** bits - 1] to [0, 255], rounded to the nearest; values beyond are clipped.

    No value lies halfway between two results, so the direction of rounding does not matter.
    """
    limit = (1 << bits) - 1
    return by_parts(lambda part: (part.astype(np.int64).clip(0, limit) * 255 + limit // 2) // limit, values)


def by_parts(function: Callable[[NDArray[Any]], NDArray[Any]], values: NDArray[Any]) -> NDArray[np.uint8]:
    """Compute a function of every single value, in parts of an array.

    Args:
        function: From some of the values, ``(N,)``, to numbers in [0, 255], ``(N,)``.
        values: Any shape.
    """
    flat = values.reshape(-1)
    result = np.empty(flat.size, np.uint8)
    for start in range(0, flat.size, _PART_SIZE):
        result[start : start + _PART_SIZE] = function(flat[start : start + _PART_SIZE])
    return result.reshape(values.shape)
