"""Stored values of a DICOM image to the gray values that a viewer displays."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cxr_lightning.imaging.bit_depth import (
    by_parts,
    effective_bits,
    scale_to_8_bits,
    signed_to_8_bits,
    unsigned_to_8_bits,
)

if TYPE_CHECKING:
    from pydicom import Dataset

_VOI_FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")
_BEYOND_ALL_VALUES = 1e9
"""A number above all pixel values; its negative is below them."""


def display_values(stored: NDArray[Any], dataset: "Dataset") -> NDArray[np.uint8]:
    """The gray values that a viewer displays, bright where dense.

    The modality's table or line is applied first, then the first table or window of the values of interest. Padding
    becomes black and does not influence the scale. Without table and window, the declared bits give the scale.

    Args:
        stored: ``(H, W)``, integers.
        dataset: MONOCHROME1 or MONOCHROME2; elements without usable content are deleted from it.

    Returns:
        ``(H, W)``. The MONOCHROME1 image of ``limit - stored`` equals that of ``stored`` in MONOCHROME2.

    References:
        DICOM PS3.3, C.7.6.3 (pixels), C.11.1 and C.11.2 (tables); PS3.4, N.2 (their order).
    """
    _delete_unusable(dataset)
    inverted = dataset.PhotometricInterpretation == "MONOCHROME1"
    if dataset.get("PixelPaddingValue") is None:
        return _gray_values(stored, dataset, inverted)
    padding = _padding_mask(stored, dataset)
    visible = stored[~padding]
    # Padding is replaced by the median of the other values, so that it moves neither end of the scale.
    values = stored.copy()
    values[padding] = int(np.median(visible)) if visible.size else 0
    return np.where(padding, np.uint8(0), _gray_values(values, dataset, inverted))


def _delete_unusable(dataset: "Dataset") -> None:
    """Delete empty elements, and windows and lines that would make the image constant."""
    for name in ("ModalityLUTSequence", "VOILUTSequence"):
        items = dataset.get(name)
        if name in dataset and (not items or "LUTDescriptor" not in items[0] or "LUTData" not in items[0]):
            delattr(dataset, name)
    slope, intercept = (_first_number(dataset.get(name)) for name in ("RescaleSlope", "RescaleIntercept"))
    if not slope or intercept is None:
        for name in ("RescaleSlope", "RescaleIntercept"):
            dataset.pop(name, None)
    function = str(dataset.get("VOILUTFunction") or "").upper()
    if function not in _VOI_FUNCTIONS:
        dataset.pop("VOILUTFunction", None)
    center, width = (_first_number(dataset.get(name)) for name in ("WindowCenter", "WindowWidth"))
    if center is None or width is None or width < (1 if function in ("", "LINEAR") else 1e-9):
        for name in ("WindowCenter", "WindowWidth"):
            dataset.pop(name, None)


def _first_number(values: Any) -> float | None:  # noqa: ANN401  # a number, several, or nothing
    several = [values] if isinstance(values, int | float) else list(values or ())
    return float(several[0]) if several and math.isfinite(several[0]) else None


def _padding_mask(stored: NDArray[Any], dataset: "Dataset") -> NDArray[np.bool_]:
    """Which pixels the detector did not record, ``(H, W)``."""
    value = dataset.PixelPaddingValue
    limit = dataset.get("PixelPaddingRangeLimit")
    # Some files write the 16 bits as unsigned though the pixels are signed, or the reverse.
    dtype: Any = np.int16 if stored.dtype.kind == "i" else np.uint16
    ends = np.array([value, value if limit is None else limit], np.int64).astype(dtype)
    mask: NDArray[np.bool_] = (stored >= ends.min()) & (stored <= ends.max())
    return mask


def _gray_values(values: NDArray[Any], dataset: "Dataset", inverted: bool) -> NDArray[np.uint8]:
    if dataset.get("ModalityLUTSequence") or dataset.get("VOILUTSequence") or "WindowCenter" in dataset:
        return by_parts(lambda part: _looked_up_values(part.astype(np.int64), dataset, inverted), values)
    # Without a window, a rescaling changes nothing of the displayed image but its direction.
    inverted ^= float(dataset.get("RescaleSlope", 1)) < 0
    to_8_bits = signed_to_8_bits if dataset.PixelRepresentation else unsigned_to_8_bits
    gray = to_8_bits(values, int(dataset.BitsStored))
    return 255 - gray if inverted else gray


def _looked_up_values(values: NDArray[np.int64], dataset: "Dataset", inverted: bool) -> NDArray[np.uint8]:
    """Gray values by the file's tables or window."""
    modality, interest = (dataset.get(name) for name in ("ModalityLUTSequence", "VOILUTSequence"))
    slope = float(dataset.get("RescaleSlope", 1))
    intercept = float(dataset.get("RescaleIntercept", 0))
    rescaled = _look_up(values, modality[0]) if modality else values * slope + intercept
    if interest:
        return _scale_by_table(_look_up(rescaled.round().astype(np.int64), interest[0]), interest[0], inverted)
    if "WindowCenter" in dataset:
        return _apply_window(rescaled, dataset, inverted)
    return _scale_by_table(rescaled.astype(np.int64), modality[0], inverted)


def _look_up(values: NDArray[np.int64], table: "Dataset") -> NDArray[np.int64]:
    """Entries of a table; pydicom's own function takes wrong ones where entries have fewer bits than values."""
    entries = _table_entries(table)
    found: NDArray[np.int64] = entries[(values - table.LUTDescriptor[1]).clip(0, len(entries) - 1)]
    return found


def _table_entries(table: "Dataset") -> NDArray[np.int64]:
    count = table.LUTDescriptor[0] or 1 << 16
    data = table.LUTData
    if isinstance(data, bytes):
        _, little_endian = table.original_encoding
        two_bytes = ">u2" if little_endian is False else "<u2"
        data = np.frombuffer(data, two_bytes if len(data) >= 2 * count else np.uint8)
    return np.asarray(data, dtype=np.int64)[:count]


def _scale_by_table(looked_up: NDArray[np.int64], table: "Dataset", inverted: bool) -> NDArray[np.uint8]:
    """Scale entries of a table by the table's bit depth."""
    bits = effective_bits(int(_table_entries(table).max()), int(table.LUTDescriptor[2]))
    return scale_to_8_bits((1 << bits) - 1 - looked_up if inverted else looked_up, bits)


def _apply_window(values: NDArray[Any], dataset: "Dataset", inverted: bool) -> NDArray[np.uint8]:
    from pydicom.pixels.processing import apply_windowing

    # What the window's ends become, which depends on the bits and the rescaling.
    low, high = apply_windowing(np.array([-_BEYOND_ALL_VALUES, _BEYOND_ALL_VALUES]), dataset)
    fraction = (apply_windowing(values, dataset) - low) / (high - low)
    # Rounded twice, so that halves are halves in both polarities.
    levels: NDArray[np.float64] = (255 * (1 - fraction if inverted else fraction)).round(6).round()
    return levels.clip(0, 255).astype(np.uint8)
