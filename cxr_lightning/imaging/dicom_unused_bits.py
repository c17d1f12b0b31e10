"""Bits of a DICOM image's pixels outside those that the header says are stored."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cxr_lightning.imaging.decoded_image import QualityFlag
from cxr_lightning.imaging.dicom_values import tag_of

if TYPE_CHECKING:
    from pydicom import Dataset

_STRIP_HEIGHT = 256
_MIN_CLOSE = 0.25
"""Fraction of the pairs from which on values go on: 0.6 to 1 in films of 14 and 16 bits, below 0.01 with stale bits."""


def mask_unused_bits(stored: NDArray[Any], dataset: "Dataset") -> tuple[NDArray[Any], list[QualityFlag]]:
    """Set the bits above the stored ones to zero, or to the sign of signed pixels, unless they are part of the values.

    Some files declare too few bits; then values go on smoothly where the declared bits end. Stale bits (letters,
    markings, an old overlay) make jumps where they begin and end. So neighboring pixels whose higher bits differ are
    counted: those whose values are close, and those whose values are not.

    Some files keep their values at the upper end of the bits, and say so in HighBit. It is followed where the bits
    below are empty in all pixels; BitsStored is then raised to the highest one.

    Args:
        stored: ``(H, W)`` or ``(H, W, C)``, integers.
        dataset: The file's elements, whose BitsStored is changed where values are at the upper end.

    Returns:
        The values, and a flag if bits were masked that the header says nothing about, or HighBit was not followed.
    """
    bits, high = int(dataset.BitsStored), dataset.get("HighBit")
    if high is None or high == "" or high + 1 == bits:
        return _mask_above(stored, dataset)
    if bits <= high < int(dataset.BitsAllocated) and _are_empty(stored, high + 1 - bits, dataset):
        dataset.BitsStored = high + 1
        return _mask_above(stored, dataset)
    masked, flags = _mask_above(stored, dataset)
    message = f"what its header says in {tag_of('HighBit')} does not fit its pixels and was ignored"
    return masked, flags or [QualityFlag("ignored_value", message)]


def _are_empty(stored: NDArray[Any], count: int, dataset: "Dataset") -> bool:
    """Whether the lowest bits are zero in all pixels, except for those of overlays."""
    looked_at = (1 << count) - 1 - sum({1 << int(bit) for bit in _overlay_bits(dataset) if bit < count})
    return not (stored & stored.dtype.type(looked_at)).any()


def _mask_above(stored: NDArray[Any], dataset: "Dataset") -> tuple[NDArray[Any], list[QualityFlag]]:
    bits = int(dataset.BitsStored)
    shift = 8 * stored.dtype.itemsize - bits
    if shift <= 0 or stored.dtype.kind not in "iu":
        return stored, []
    if stored.dtype.kind == "u" and int(stored.max(initial=0)) >> bits == 0:
        return stored, []
    masked = _sign_extended(stored, shift)
    if stored.dtype.kind == "i" and not ((masked != stored) & (stored >> bits != 0)).any():
        return masked, []  # with their signs, or with zeros in their place
    if _overlay_bits(dataset):
        return masked, []
    if stored.dtype.kind == "u" and _goes_on(stored, bits):
        return stored, []
    message = f"bits above the {bits} that its header declares were set and were masked"
    return masked, [QualityFlag("stale_bits", message)]


def _sign_extended(stored: NDArray[Any], shift: int) -> NDArray[Any]:
    """The lowest bits alone; of signed values with their sign."""
    return (stored << shift) >> shift


def _goes_on(stored: NDArray[Any], bits: int) -> bool:
    """Whether many neighboring pixels with different bits above the declared ones have values that are close."""
    close = differing = 0
    for top in range(0, len(stored), _STRIP_HEIGHT):
        strip = stored[top : top + _STRIP_HEIGHT + 1].astype(np.int64)
        for axis in (0, 1):
            differences = np.abs(np.diff(strip, axis=axis))[np.diff(strip >> bits, axis=axis) != 0]
            differing += differences.size
            close += int((differences < (1 << bits) // 2).sum())
    return close > _MIN_CLOSE * differing


def _overlay_bits(dataset: "Dataset") -> list[int]:
    """Numbers of the pixels' unused bits that overlays are kept in; 0 stands for an overlay that is kept elsewhere."""
    positions = (dataset.get((0x6000 + 2 * number, 0x0102)) for number in range(16))
    return [int(position.value) for position in positions if position is not None and position.value]
