"""Bits of a DICOM image's pixels above those that the header says are stored."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cxr_lightning.imaging.decoded_image import QualityFlag

if TYPE_CHECKING:
    from pydicom import Dataset

_STRIP_HEIGHT = 256


def mask_unused_bits(stored: NDArray[Any], dataset: "Dataset") -> tuple[NDArray[Any], list[QualityFlag]]:
    """Set the bits above the stored ones to zero, or to the sign of signed pixels, unless they are part of the values.

    Some files declare too few bits; then values go on smoothly where the declared bits end, and the image has jumps if
    the others are masked. Stale bits (letters, markings, an old overlay) make jumps where they are. So the version with
    smaller differences between neighboring pixels is taken.

    Args:
        stored: ``(H, W)`` or ``(H, W, C)``, integers.
        dataset: The file's elements.

    Returns:
        The values, and a flag if bits were masked that the header says nothing about.
    """
    bits = int(dataset.BitsStored)
    shift = 8 * stored.dtype.itemsize - bits
    if shift <= 0 or stored.dtype.kind not in "iu":
        return stored, []
    above = stored >> bits
    if not above.any():
        return _sign_extended(stored, shift), []
    masked = _sign_extended(stored, shift)
    if (stored.dtype.kind == "i" and np.array_equal(masked, stored)) or _has_overlay(dataset):
        return masked, []
    if stored.dtype.kind == "u" and _roughness(stored) < _roughness(masked):
        return stored, []
    message = f"bits above the {bits} that its header declares were set and were masked"
    return masked, [QualityFlag("stale_bits", message)]


def _sign_extended(stored: NDArray[Any], shift: int) -> NDArray[Any]:
    """The lowest bits alone; of signed values with their sign."""
    return (stored << shift) >> shift


def _roughness(values: NDArray[Any]) -> int:
    """Sum of the differences between neighboring pixels."""
    total = 0
    for top in range(0, len(values), _STRIP_HEIGHT):
        strip = values[top : top + _STRIP_HEIGHT + 1].astype(np.int64)
        total += int(np.abs(np.diff(strip[:_STRIP_HEIGHT], axis=1)).sum() + np.abs(np.diff(strip, axis=0)).sum())
    return total


def _has_overlay(dataset: "Dataset") -> bool:
    """Whether an overlay is kept in the pixels' unused bits."""
    positions = (dataset.get((0x6000 + 2 * number, 0x0102)) for number in range(16))
    return any(position is not None and position.value for position in positions)
