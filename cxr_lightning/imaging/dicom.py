"""DICOM files to gray pixels, upright and bright where dense.

What a file states about its patient is neither kept nor quoted. Which files are refused by their header is decided in
:mod:`cxr_lightning.imaging.dicom_checks`.
"""

import logging
import threading
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cxr_lightning.imaging.bit_depth import unsigned_to_8_bits
from cxr_lightning.imaging.decoded_image import (
    DecodedImage,
    ImageRejectedError,
    QualityFlag,
    check_size,
    color_fraction,
)
from cxr_lightning.imaging.dicom_checks import check_chest_radiograph, check_decoder, code_string
from cxr_lightning.imaging.dicom_cut_off import cut_off_in
from cxr_lightning.imaging.dicom_frame_size import frame_size
from cxr_lightning.imaging.dicom_inflate import read_elements
from cxr_lightning.imaging.dicom_unused_bits import mask_unused_bits
from cxr_lightning.imaging.dicom_values import drop_unusable
from cxr_lightning.imaging.dicom_view import header_view_position, processing_flags
from cxr_lightning.imaging.dicom_window import display_values

if TYPE_CHECKING:
    from pydicom import Dataset

_QUOTING_PACKAGES = ("pydicom", "pylibjpeg", "openjpeg", "libjpeg", "rle")
"""Packages whose log messages and warnings may quote the file's values."""
_NULL_HANDLER = logging.NullHandler()
_LOCK = threading.Lock()


def decode_dicom(content: bytes, path: Path | str, *, force: bool = False) -> DecodedImage:
    """Decode a radiograph.

    Stored values go through the modality and the value-of-interest table (the first window, if the file has several),
    MONOCHROME1 is inverted, padding becomes black, and an image that the header states to be transposed, rotated or
    mirrored is put upright, the patient's right on the left.

    Args:
        content: The file's bytes.
        path: Shown in messages.
        force: Decode a file although its header states that it is no chest radiograph; of several frames the first.

    Raises:
        ImageRejectedError: If it is not one, cannot be decoded, is too large, or pydicom or a decoder is not installed.

    References:
        DICOM PS3.3, C.7.6.3 (pixels), C.11.1 and C.11.2 (tables); PS3.4, N.2 (their order).
    """
    try:
        import pydicom  # noqa: F401  # only tests whether the optional extra is installed
    except ImportError as error:
        reason = "it is a DICOM file, which needs pydicom"
        remedy = "Install the extra: uv sync --extra dicom."
        raise ImageRejectedError.from_reason(path, reason, remedy, code="dicom_support", permanent=False) from error
    try:
        silence_dicom_packages()
        return _decode(content, path, force)
    except MemoryError:
        raise
    except ImageRejectedError as error:
        if error.code not in ("damaged", "no_pixels"):
            raise
        rejection = error
    except Exception as error:  # pydicom and its decoders raise any type, with texts that may quote the file
        reason = f"its DICOM data cannot be decoded ({type(error).__name__})"
        rejection = ImageRejectedError.from_reason(path, reason, "Export it again, uncompressed.")
    if where := cut_off_in(content):
        reason = f"its DICOM data is cut off: the file ends within its {where}"
        rejection = ImageRejectedError.from_reason(path, reason, "Get it again.", code="cut_off")
    # Without the cause: loader processes and tracebacks would show its text.
    raise rejection from None


def _decode(content: bytes, path: Path | str, force: bool) -> DecodedImage:
    dataset = _read_dataset(content, path)
    flags = drop_unusable(dataset)
    check_chest_radiograph(dataset, path, force)
    return _decode_pixels(dataset, path, flags)


def silence_dicom_packages() -> None:
    """Suppress log messages and warnings of pydicom and its decoders from now on, because they quote values.

    Not only during a call: other threads may be reading as well.
    """
    for name in _QUOTING_PACKAGES:
        logger = logging.getLogger(name)
        logger.propagate = False
        logger.addHandler(_NULL_HANDLER)
    modules = "|".join(_QUOTING_PACKAGES)
    with _LOCK:  # setting a filter that is there removes it for a moment
        first = warnings.filters[0] if warnings.filters else (None,) * 5
        if getattr(first[3], "pattern", None) != modules:
            warnings.filterwarnings("ignore", module=modules)


def _read_dataset(content: bytes, path: Path | str) -> "Dataset":
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    dataset = read_elements(content, path)
    if "TransferSyntaxUID" not in getattr(dataset, "file_meta", ()):  # a file without a preamble
        implicit, little_endian = dataset.original_encoding
        explicit = ExplicitVRLittleEndian if little_endian else ExplicitVRBigEndian
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit
    return dataset


def _decode_pixels(dataset: "Dataset", path: Path | str, flags: list[QualityFlag]) -> DecodedImage:
    from pydicom.pixels import apply_color_lut, pixel_array

    if frame := frame_size(dataset):
        check_size(*frame, path)
        if frame != (dataset.Columns, dataset.Rows):
            expected = f"{dataset.Columns}x{dataset.Rows}"
            reason = f"its header says {expected} pixels but the data has {frame[0]}x{frame[1]}"
            raise ImageRejectedError.from_reason(path, reason)
    check_decoder(dataset, path)
    dataset.PhotometricInterpretation = code_string(dataset, "PhotometricInterpretation")  # in whatever case
    stored = pixel_array(dataset, index=0, correct_unused_bits=False)
    del dataset.PixelData  # it is as large as the array
    stored, bit_flags = mask_unused_bits(stored, dataset)
    flags += [*processing_flags(dataset), *bit_flags]
    view = header_view_position(dataset)
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        stored = apply_color_lut(stored, dataset)[..., :3]
    if stored.ndim == 3:
        stored = unsigned_to_8_bits(stored, 8 * stored.dtype.itemsize)
        return DecodedImage(_to_upright(_luminance(stored), dataset), color_fraction(stored), view, tuple(flags))
    gray, window_flags = display_values(stored, dataset)
    return DecodedImage(_to_upright(gray, dataset), view_position=view, flags=(*flags, *window_flags))


def _luminance(colors: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Luminance of RGB pixels ``(H, W, 3)`` by the weights of ITU-R 601, ``(H, W)``."""
    rows = [(row.astype(np.float64) @ [0.299, 0.587, 0.114]).round().astype(np.uint8) for row in colors]
    return np.stack(rows)


def _to_upright(gray: NDArray[np.uint8], dataset: "Dataset") -> NDArray[np.uint8]:
    """Put the head at the top and the patient's right on the left, if the header states where they are."""
    rows, columns = (*(dataset.get("PatientOrientation") or ()), "", "")[:2]
    if rows[:1] in ("H", "F") and columns[:1] in ("L", "R", "A", "P"):
        gray, rows, columns = gray.T, columns, rows
    if columns[:1] == "H":
        gray = gray[::-1]
    if rows[:1] == "R" and columns[:1] in ("H", "F"):
        gray = gray[:, ::-1]
    return np.ascontiguousarray(gray)
