"""Arrays of pixel values to gray pixels, as the same picture in a file is decoded."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cxr_lightning.imaging.bit_depth import by_parts, unsigned_to_8_bits
from cxr_lightning.imaging.decoded_image import DecodedImage, check_size
from cxr_lightning.imaging.decoder import gray_image
from cxr_lightning.imaging.deep_color import decode_deep_array
from cxr_lightning.utils.plain_text import one_line_reason

_CHANNELS = (1, 3, 4)
"""Numbers of channels: gray, RGB and RGB with alpha."""
_FLOAT_SIZES = (2, 4, 8)
"""Sizes in bytes of the floating-point numbers that are taken."""
_SHAPES = "(H, W), or (H, W, C) with 1, 3 or 4 channels"
_DTYPES = "uint8, uint16, or float with value_range"


class SupportsArray(Protocol):
    """An array of NumPy or of another library, such as a tensor of torch."""

    def __array__(self) -> NDArray[Any]:
        """The array as one of NumPy."""


def to_array(source: SupportsArray, name: str) -> NDArray[Any]:
    """An array of any library as one of NumPy, whose shape and dtype are those of a picture.

    Args:
        source: The array.
        name: Name of the image in messages.

    Raises:
        ValueError: If it is no picture by its shape or dtype, or cannot be converted.
    """
    try:
        array = np.asarray(source)
    except Exception as error:  # of other libraries, such as a tensor on a GPU or with gradients
        raise ValueError(
            f"Expected an array in '{name}' but got {type(source).__name__}, which NumPy cannot read "
            f"({one_line_reason(error) or type(error).__name__}). Give it as a NumPy array, such as "
            "x.detach().float().cpu().numpy()."
        ) from None
    if isinstance(source, np.ma.MaskedArray) and np.ma.is_masked(source):
        raise ValueError(f"Expected an array in '{name}' but got one with masked values. Fill them: array.filled(0).")
    _check_shape(array.shape, name)
    _check_dtype(array, name)
    return array


def check_value_range(value_range: object) -> tuple[float, float] | None:
    """The range of floating-point values as two numbers; None if it is not given.

    Raises:
        ValueError: If it is no pair of finite numbers in ascending order.
    """
    if value_range is None:
        return None
    try:
        low, high = (float(bound) for bound in value_range)  # type: ignore[attr-defined]
    except (TypeError, ValueError, OverflowError):
        low = high = np.nan
    if not low < high or not np.isfinite(high - low):
        raise ValueError(
            "Expected value_range=(low, high), two finite numbers of which the second is higher, but got "
            f"{value_range!r}. Give the values of black and white, such as (0, 1)."
        )
    return low, high


def decode_array(source: SupportsArray, name: str, value_range: Sequence[float] | None = None) -> DecodedImage:
    """Decode an array as the picture that it is.

    uint8 and uint16 are decoded as the same values in a PNG, also in color: 16-bit values that leave bits unused are
    scaled to the bits that they use. Floating-point values are taken by the range that the caller states, whatever
    part of it they use, and rounded to 8 bits: ``x / 255`` with ``(0, 1)`` gives the pixels of ``x`` in uint8;
    ``x / 65535`` in float32 or float64 those of ``x`` in uint16 if ``x`` is gray and uses the range of 16 bits.

    Args:
        source: ``(H, W)``, or ``(H, W, C)`` with 1, 3 or 4 channels; bright is dense.
        name: Name of the image in messages.
        value_range: Values of black and white, for floating-point numbers.

    Raises:
        ValueError: If the shape, the dtype, the range or a value is not as expected.
        ImageRejectedError: If it is too large.
    """
    array = to_array(source, name)
    bounds = check_value_range(value_range)
    height, width = array.shape[:2]
    check_size(width, height, name)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    if array.dtype.kind == "f":
        return _decode_bytes(_float_to_8_bits(array, name, bounds))
    _check_full_range(array.dtype, name, bounds)
    if array.dtype == np.uint8:
        return _decode_bytes(array.astype(np.uint8, order="C"))  # a copy: the caller may change its array
    values = array.astype(np.uint16)  # in the machine's byte order
    return DecodedImage(unsigned_to_8_bits(values, 16)) if values.ndim == 2 else decode_deep_array(values)


def _decode_bytes(values: NDArray[np.uint8]) -> DecodedImage:
    return DecodedImage(values) if values.ndim == 2 else gray_image(Image.fromarray(values))


def _check_shape(shape: tuple[int, ...], name: str) -> None:
    if not all(shape):
        problem, remedy = "no pixels", "Give an image."
    elif len(shape) == 2 or (len(shape) == 3 and shape[2] in _CHANNELS):
        return
    elif len(shape) == 3 and shape[0] in _CHANNELS:
        problem = "the channels first"
        remedy = "Give array[0]." if shape[0] == 1 else "Move them to the end: np.moveaxis(array, 0, -1)."
    elif len(shape) in (3, 4):
        problem, remedy = "several images", "Give them as a list: list(array)."
    else:
        problem, remedy = f"{len(shape)} axes", "Give one image, or a list of images."
    raise ValueError(f"Expected an array {_SHAPES}, in '{name}' but got the shape {shape}: {problem}. {remedy}")


def _check_dtype(array: NDArray[Any], name: str) -> None:
    dtype = array.dtype.newbyteorder("=")
    if dtype in (np.uint8, np.uint16) or (dtype.kind == "f" and dtype.itemsize in _FLOAT_SIZES):
        return
    if dtype.kind == "b":
        remedy = "If it is a picture: array.astype('uint8') * 255."
    elif dtype.kind in "iu":
        remedy = (
            f"Its values are from {array.min()} to {array.max()}: convert it to uint8 if they are in [0, 255] by "
            "meaning, to uint16 if in [0, 65535], else to float32, with the lowest and highest possible value as "
            "value_range."
        )
    elif dtype.kind == "f":
        remedy = "Convert it to float64."
    else:
        remedy = "Give an array of pixel values; several images, or names of files, as a list."
    raise ValueError(f"Expected {_DTYPES}, in '{name}' but got an array of {dtype}. {remedy}")


def _check_full_range(dtype: np.dtype[Any], name: str, bounds: tuple[float, float] | None) -> None:
    """Refuse a range that is stated of integers, unless it is that of their type."""
    highest = np.iinfo(dtype).max
    if bounds not in (None, (0, highest)):
        raise ValueError(
            f"Expected no value_range, or (0, {highest}), for {dtype} in '{name}' but got {bounds}. Leave it out; if "
            "the values mean something else, convert the array to float32."
        )


def _float_to_8_bits(values: NDArray[Any], name: str, bounds: tuple[float, float] | None) -> NDArray[np.uint8]:
    if wrong := np.count_nonzero(~np.isfinite(values)):
        raise ValueError(
            f"Expected finite values in '{name}' but {wrong:,} of {values.size:,} are NaN or infinite. Replace them "
            "before: np.nan_to_num(array)."
        )
    lowest, highest = values.min(), values.max()
    if bounds is None:
        raise ValueError(
            f"Expected value_range=(low, high) for {values.dtype} in '{name}' but it is missing; the values are from "
            f"{lowest:g} to {highest:g}. Give the values of black and white, such as value_range=(0, 1)."
        )
    low, high = bounds
    with np.errstate(over="ignore"):  # float16 ends at 65504
        low_here, high_here = (values.dtype.type(bound) for bound in bounds)  # 0.1 is higher in float32
    if lowest < low_here or highest > high_here:
        raise ValueError(
            f"Expected values in value_range={bounds} in '{name}' but they are from {lowest:g} to {highest:g}. Correct "
            "the range, or clip the values."
        )
    scale = 255 / (high - low)
    return by_parts(lambda part: ((part.astype(np.float64) - low) * scale).round().clip(0, 255), values)
