"""Stored values of a DICOM image to the gray values that a viewer displays."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cxr_lightning.imaging.bit_depth import by_parts, effective_bits, robust_range, signed_to_8_bits, unsigned_to_8_bits
from cxr_lightning.imaging.decoded_image import QualityFlag
from cxr_lightning.imaging.dicom_checks import code_string
from cxr_lightning.imaging.dicom_tables import look_up, scale_by_table
from cxr_lightning.imaging.dicom_values import Window, usable_windows
from cxr_lightning.imaging.dicom_window_choice import choose_window

if TYPE_CHECKING:
    from pydicom import Dataset

_NOT_USED = "the window of its header clips most of the film, or is far too wide, and was not used"
_NARROW_WINDOWS = ("CT", "MR", "NM", "PT")
"""Modalities whose windows show a small part of the values on purpose."""
_SAMPLE = 200_000
"""Number of pixels by which windows are judged."""
_BEYOND_ALL_VALUES = 1e9
"""A number above all pixel values; its negative is below them."""


def display_values(stored: NDArray[Any], dataset: "Dataset") -> tuple[NDArray[np.uint8], list[QualityFlag]]:
    """The gray values that a viewer displays, bright where dense.

    The modality's table or line is applied first, then the first table or window of the values of interest; a window
    that clips most of the film is not used (:func:`choose_window`). Padding becomes black and does not influence the
    scale. Without table and window, the declared bits give the scale.

    Args:
        stored: ``(H, W)``, integers.
        dataset: MONOCHROME1 or MONOCHROME2, without elements that cannot be used; windows are deleted from it.

    Returns:
        The gray values, ``(H, W)``, and a flag if the first window was not used. The MONOCHROME1 image of
        ``limit - stored`` equals that of ``stored`` in MONOCHROME2.

    References:
        DICOM PS3.3, C.7.6.3 (pixels), C.11.1 and C.11.2 (tables); PS3.4, N.2 (their order).
    """
    inverted = dataset.PhotometricInterpretation == "MONOCHROME1"
    if dataset.get("PixelPaddingValue") is None:
        flags = _keep_one_window(stored.reshape(-1), dataset)
        return _gray_values(stored, dataset, inverted), flags
    padding = _padding_mask(stored, dataset)
    visible = stored[~padding]
    flags = _keep_one_window(visible, dataset)
    # Padding is replaced by the median of the other values, so that it moves neither end of the scale.
    values = stored.copy()
    values[padding] = int(np.median(visible)) if visible.size else 0
    return np.where(padding, np.uint8(0), _gray_values(values, dataset, inverted)), flags


def _keep_one_window(visible: NDArray[Any], dataset: "Dataset") -> list[QualityFlag]:
    """Delete all windows but the one that is used.

    Args:
        visible: Stored values without padding, ``(N,)``.
        dataset: Elements of the file, which are changed.
    """
    narrow = code_string(dataset, "Modality") in _NARROW_WINDOWS
    windows = usable_windows(dataset)
    if not windows or dataset.get("VOILUTSequence"):
        return []
    if narrow:
        _set_window(dataset, windows[0])
        return []

    def apply(values: NDArray[np.float64], number: int) -> NDArray[np.uint8]:
        _set_window(dataset, windows[number])
        return _apply_window(values, dataset, inverted=False)

    step = max(1, visible.size // _SAMPLE) | 1
    sample = visible[::step]
    values = _rescaled(sample.astype(np.int64), dataset)
    number = choose_window(values, [window.width for window in windows], _value_range(sample, dataset), apply)
    if number is None:
        for name in ("WindowCenter", "WindowWidth"):
            dataset.pop(name, None)
        return [QualityFlag("window", f"{_NOT_USED}: the full range of the values was used instead")]
    _set_window(dataset, windows[number])
    if not number:
        return []
    return [QualityFlag("window", f"{_NOT_USED}: window {windows[number].number} was used instead")]


def _set_window(dataset: "Dataset", window: Window) -> None:
    for name, value in (("WindowCenter", window.center), ("WindowWidth", window.width)):
        dataset.add_new(name, "FD", value)


def _value_range(visible: NDArray[Any], dataset: "Dataset") -> float:
    """Range of the rescaled values that the film's bits can have; infinity if a table gives it."""
    if dataset.get("ModalityLUTSequence") or not visible.size:
        return math.inf
    low, high = robust_range(visible)
    highest = high if low >= 0 else 2 * max(high, -1 - low) + 1
    bits = effective_bits(highest, int(dataset.BitsStored) - bool(dataset.PixelRepresentation and low >= 0))
    return (1 << bits) * abs(float(dataset.get("RescaleSlope", 1)))


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
    rescaled = _rescaled(values, dataset)
    if interest:
        return scale_by_table(look_up(rescaled.round().astype(np.int64), interest[0]), interest[0], inverted)
    if "WindowCenter" in dataset:
        return _apply_window(rescaled, dataset, inverted)
    assert modality is not None
    return scale_by_table(rescaled.astype(np.int64), modality[0], inverted)


def _rescaled(values: NDArray[np.int64], dataset: "Dataset") -> NDArray[Any]:
    """Values by the modality's table or line."""
    if modality := dataset.get("ModalityLUTSequence"):
        return look_up(values, modality[0])
    slope, intercept = float(dataset.get("RescaleSlope", 1)), float(dataset.get("RescaleIntercept", 0))
    return values * slope + intercept


def _apply_window(values: NDArray[Any], dataset: "Dataset", inverted: bool) -> NDArray[np.uint8]:
    from pydicom.pixels.processing import apply_windowing

    # What the window's ends become, which depends on the bits and the rescaling.
    low, high = apply_windowing(np.array([-_BEYOND_ALL_VALUES, _BEYOND_ALL_VALUES]), dataset)
    fraction = (apply_windowing(values, dataset) - low) / (high - low)
    # Rounded twice, so that halves are halves in both polarities.
    levels: NDArray[np.float64] = (255 * (1 - fraction if inverted else fraction)).round(6).round()
    return levels.clip(0, 255).astype(np.uint8)
