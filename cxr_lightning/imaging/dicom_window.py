"""Stored values of a DICOM picture to the grey that a viewer shows."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cxr_lightning.imaging.decoded_image import depth, scaled, signed_to_8_bits, to_8_bits

if TYPE_CHECKING:
    from pydicom import Dataset

_FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")
_FAR = 1e9
"""Beyond all values, to either side."""


def displayed(stored: NDArray[Any], dataset: "Dataset") -> NDArray[np.uint8]:
    """What a viewer shows, bright where dense.

    The modality's table or line comes first, then the first table or window of the values of interest; padding, which
    has no part in the scale, becomes black. Without either, the declared bits give the scale.

    Args:
        stored: ``(H, W)``, whole numbers.
        dataset: MONOCHROME1 or MONOCHROME2; elements that say nothing usable are deleted from it.

    Returns:
        ``(H, W)``. The MONOCHROME1 picture of ``limit - stored`` is that of ``stored`` in MONOCHROME2.

    References:
        DICOM PS3.3, C.7.6.3 (pixels), C.11.1 and C.11.2 (tables); PS3.4, N.2 (their order).
    """
    _drop_unusable(dataset)
    padding = _padding(stored, dataset)
    seen = stored[~padding]
    # In the middle of the others padding moves neither end of the scale.
    values = np.where(padding, int(np.median(seen)) if seen.size else 0, stored).astype(np.int64)
    inverted = dataset.PhotometricInterpretation == "MONOCHROME1"
    return np.where(padding, np.uint8(0), _grey(values, dataset, inverted))


def _drop_unusable(dataset: "Dataset") -> None:
    """Delete what is empty, and windows and lines that would show nothing."""
    for name in ("ModalityLUTSequence", "VOILUTSequence"):
        items = dataset.get(name)
        if name in dataset and (not items or "LUTDescriptor" not in items[0] or "LUTData" not in items[0]):
            delattr(dataset, name)
    slope, intercept = (_first(dataset.get(name)) for name in ("RescaleSlope", "RescaleIntercept"))
    if not slope or intercept is None:
        for name in ("RescaleSlope", "RescaleIntercept"):
            dataset.pop(name, None)
    function = str(dataset.get("VOILUTFunction") or "").upper()
    if function not in _FUNCTIONS:
        dataset.pop("VOILUTFunction", None)
    center, width = (_first(dataset.get(name)) for name in ("WindowCenter", "WindowWidth"))
    if center is None or width is None or width < (1 if function in ("", "LINEAR") else 1e-9):
        for name in ("WindowCenter", "WindowWidth"):
            dataset.pop(name, None)


def _first(values: Any) -> float | None:  # noqa: ANN401  # a number, several, or nothing
    several = [values] if isinstance(values, int | float) else list(values or ())
    return float(several[0]) if several and math.isfinite(several[0]) else None


def _padding(stored: NDArray[Any], dataset: "Dataset") -> NDArray[np.bool_]:
    """Where a detector saw nothing, ``(H, W)``."""
    value = dataset.get("PixelPaddingValue")
    if value is None:
        return np.zeros(stored.shape, bool)
    limit = dataset.get("PixelPaddingRangeLimit")
    # 16 bits that some files write as unsigned though the pixels are signed, or the reverse.
    kind: Any = np.int16 if stored.dtype.kind == "i" else np.uint16
    ends = np.array([value, value if limit is None else limit], np.int64).astype(kind)
    found: NDArray[np.bool_] = (stored >= ends.min()) & (stored <= ends.max())
    return found


def _grey(values: NDArray[np.int64], dataset: "Dataset", inverted: bool) -> NDArray[np.uint8]:
    modality, interest = (dataset.get(name) for name in ("ModalityLUTSequence", "VOILUTSequence"))
    slope, intercept = (float(dataset.get(*of)) for of in (("RescaleSlope", 1), ("RescaleIntercept", 0)))
    rescaled = _look_up(values, modality[0]) if modality else values * slope + intercept
    if interest:
        return _of_table(_look_up(rescaled.round().astype(np.int64), interest[0]), interest[0], inverted)
    if "WindowCenter" in dataset:
        return _windowed(rescaled, dataset, inverted)
    if modality:
        return _of_table(rescaled.astype(np.int64), modality[0], inverted)
    # A straight line changes nothing of what is shown but its direction.
    inverted ^= slope < 0
    scale = signed_to_8_bits if dataset.PixelRepresentation else to_8_bits
    grey = scale(values, int(dataset.BitsStored))
    return 255 - grey if inverted else grey


def _look_up(values: NDArray[np.int64], table: "Dataset") -> NDArray[np.int64]:
    """Entries of a table; pydicom's own function takes wrong ones where entries have fewer bits than values."""
    entries = _entries(table)
    found: NDArray[np.int64] = entries[(values - table.LUTDescriptor[1]).clip(0, len(entries) - 1)]
    return found


def _entries(table: "Dataset") -> NDArray[np.int64]:
    count = table.LUTDescriptor[0] or 1 << 16
    data = table.LUTData
    if isinstance(data, bytes):
        _, little_endian = table.original_encoding
        words = ">u2" if little_endian is False else "<u2"
        data = np.frombuffer(data, words if len(data) >= 2 * count else np.uint8)
    return np.asarray(data, dtype=np.int64)[:count]


def _of_table(shown: NDArray[np.int64], table: "Dataset", inverted: bool) -> NDArray[np.uint8]:
    """Scaled by the bits of its entries, ``(H, W)``."""
    bits = depth(int(_entries(table).max()), int(table.LUTDescriptor[2]))
    return scaled((1 << bits) - 1 - shown if inverted else shown, bits)


def _windowed(values: NDArray[Any], dataset: "Dataset", inverted: bool) -> NDArray[np.uint8]:
    from pydicom.pixels.processing import apply_windowing

    # What the window's ends become, which depends on the bits and the rescaling.
    low, high = apply_windowing(np.array([-_FAR, _FAR]), dataset)
    share = (apply_windowing(values, dataset) - low) / (high - low)
    # Rounded twice, so that halves are halves in both polarities.
    steps: NDArray[np.float64] = (255 * (1 - share if inverted else share)).round(6).round()
    return steps.clip(0, 255).astype(np.uint8)
