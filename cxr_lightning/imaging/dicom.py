"""DICOM files to grey pixels, upright and bright where dense, or why they are no chest radiograph.

What a file says of its patient is neither kept nor quoted: messages name tags and never their values, except for a few
that are codes of the standard.
"""

import logging
import re
import threading
import warnings
import zlib
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cxr_lightning.imaging.decoded_image import (
    MAX_PIXELS,
    ImageRejectedError,
    Picture,
    check_size,
    share_of_colour,
    to_8_bits,
)
from cxr_lightning.imaging.dicom_frame_size import frame_size
from cxr_lightning.imaging.dicom_window import displayed

if TYPE_CHECKING:
    from pydicom import Dataset

_PREAMBLE = 128
_DEFLATED = "1.2.840.10008.1.2.1.99"
_MOST_BYTES = 4 * MAX_PIXELS
"""Of a deflated file, inflated."""
_RADIOGRAPHS = frozenset({"", "CR", "DX", "RG", "DR", "OT", "SC"})
"""Modalities that may be one; the last three are not the standard's for it but are met."""
_CHEST = ("CHEST", "THORAX", "TORAX", "LUNG", "RIB")
_OTHER_MODALITIES = frozenset(
    {"CT", "MR", "MG", "US", "NM", "PT", "XA", "RF", "IO", "PX", "ES", "SR", "ECG", "OP", "PR"}
)
_OTHER_PARTS = frozenset(
    {
        *("ABDOMEN", "ABDOMENPELVIS", "ANKLE", "ARM", "BREAST", "CALCANEUS", "CLAVICLE", "COCCYX", "CSPINE", "ELBOW"),
        *("EXTREMITY", "FEET", "FEMUR", "FIBULA", "FINGER", "FOOT", "FOREARM", "HAND", "HANDS", "HEAD", "HEEL", "HIP"),
        *("HIPS", "HUMERUS", "JAW", "KNEE", "KNEES", "LEG", "LSPINE", "LUMBAR", "MANDIBLE", "MAXILLA", "NECK"),
        *("PATELLA", "PELVIS", "RADIUS", "SACRUM", "SCAPULA", "SHOULDER", "SKULL", "SPINE", "SSPINE", "THIGH"),
        *("THUMB", "TIBIA", "TOE", "TSPINE", "ULNA", "WRIST", "ZYGOMA"),
    }
)
"""Values that are quoted; what else is in these elements may be anything. Unknown parts of the body are not refused."""
_TALKERS = ("pydicom", "pylibjpeg", "openjpeg", "libjpeg", "rle")
_NOWHERE = logging.NullHandler()
_LOCK = threading.Lock()
_FIRST_TAGS = (b"\x08\x00", b"\x02\x00")
"""Groups that a file without preamble begins with, in little endian."""


def is_dicom(head: bytes) -> bool:
    """Whether a file's first 256 bytes are those of a DICOM file, with or without its preamble."""
    if head[_PREAMBLE : _PREAMBLE + 4] == b"DICM":
        return True
    element, length = head[2:4], int.from_bytes(head[4:8], "little")
    known = element in (b"\x00\x00", b"\x01\x00", b"\x05\x00", b"\x08\x00", b"\x16\x00", b"\x18\x00")
    explicit = head[4:6] in (b"UL", b"OB", b"CS", b"UI", b"SH")
    return head[:2] in _FIRST_TAGS and known and (explicit or 0 < length < len(head))


def decode_dicom(content: bytes, path: Path | str, *, force: bool = False) -> Picture:
    """Decode a radiograph.

    Stored values go through the modality and the value-of-interest table (the first window, if the file has several),
    MONOCHROME1 is inverted, padding becomes black, and a picture that the header says is turned or mirrored is put
    upright, the patient's right on the left.

    Args:
        content: Of the file.
        path: For messages.
        force: Go on where the header says that it is no chest radiograph; of several frames the first.

    Raises:
        ImageRejectedError: If it is not one, cannot be decoded, is too large, or pydicom is not installed.

    References:
        DICOM PS3.3, C.7.6.3 (pixels), C.11.1 and C.11.2 (tables); PS3.4, N.2 (their order).
    """
    try:
        import pydicom  # noqa: F401  # is it there?
    except ImportError as error:
        reason = "it is a DICOM file, which needs pydicom"
        remedy = "Install the extra: uv sync --extra dicom."
        raise ImageRejectedError.of(path, reason, remedy, code="dicom_support", lasting=False) from error
    try:
        _silence()
        dataset = _read(content, path)
        _check_header(dataset, path, force)
        return _picture(dataset, path)
    except (ImageRejectedError, MemoryError):
        raise
    except Exception as error:  # pydicom and its decoders raise what they come upon, in texts that may quote the file
        reason = f"its DICOM data cannot be decoded ({type(error).__name__})"
        # Without its cause, which loaders' processes and tracebacks would show.
        raise ImageRejectedError.of(path, reason, "Export it again, uncompressed.") from None


def _silence() -> None:
    """Have pydicom and its decoders keep their remarks to themselves from now on: they quote values.

    For good, and not for the time of a call: other threads may be reading as well.
    """
    for name in _TALKERS:
        logger = logging.getLogger(name)
        logger.propagate = False
        logger.addHandler(_NOWHERE)
    modules = "|".join(_TALKERS)
    with _LOCK:  # a filter that is set again is gone for a moment
        first = warnings.filters[0] if warnings.filters else (None,) * 5
        if getattr(first[3], "pattern", None) != modules:
            warnings.filterwarnings("ignore", module=modules)


def _read(content: bytes, path: Path | str) -> "Dataset":
    from pydicom import dcmread
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

    _check_inflated(content, path)
    dataset = dcmread(BytesIO(content), force=True)
    if "TransferSyntaxUID" not in getattr(dataset, "file_meta", ()):  # a file without a preamble
        implicit, _ = dataset.original_encoding
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
    return dataset


def _check_inflated(content: bytes, path: Path | str) -> None:
    """Refuse what is compressed as a whole and far larger than an image when it is not."""
    if _DEFLATED.encode() not in content[:4096]:
        return
    start = content.find(b"DICM") + 4
    group_length = int.from_bytes(content[start + 8 : start + 12], "little")
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    rest = BytesIO(content[start + 12 + group_length :])
    size = 0
    while chunk := rest.read(1 << 16):
        size += len(inflater.decompress(chunk, _MOST_BYTES))
        if size > _MOST_BYTES or inflater.unconsumed_tail:
            reason = f"it is compressed and larger than {_MOST_BYTES:,} bytes when it is not"
            raise ImageRejectedError.of(path, reason, code="too_large")


def _check_header(dataset: "Dataset", path: Path | str, force: bool) -> None:
    """Refuse what is no single chest radiograph, or too large, before its pixels are decoded."""
    if "PixelData" not in dataset or "Rows" not in dataset or "Columns" not in dataset:
        raise ImageRejectedError.of(path, "its DICOM data has no pixels", "Export the image itself.", code="no_pixels")
    frames = int(dataset.get("NumberOfFrames") or 1)
    check_size(int(dataset.Columns), int(dataset.Rows), path)
    if force:
        return
    modality = _code(dataset, "Modality")
    parts = set(re.findall("[A-Z]+", _code(dataset, "BodyPartExamined")))
    if modality not in _RADIOGRAPHS:
        quoted = f" (Modality {modality})" if modality in _OTHER_MODALITIES else ""
        reason = f"its header says that it is no radiograph{quoted}"
    elif frames > 1:
        reason = f"its header says that it has {frames:,} frames, not one"
    elif (others := parts & _OTHER_PARTS) and not any(name in part for part in parts for name in _CHEST):
        reason = f"its header says that it shows another part of the body (BodyPartExamined {' '.join(sorted(others))})"
    else:
        return
    remedy = "Give chest radiographs, or --force if the header is wrong."
    raise ImageRejectedError.of(path, reason, remedy, code="not_a_chest_radiograph")


def _code(dataset: "Dataset", name: str) -> str:
    return str(dataset.get(name) or "").strip().upper()


def _picture(dataset: "Dataset", path: Path | str) -> Picture:
    from pydicom.pixels import apply_color_lut, pixel_array

    if frame := frame_size(dataset):
        check_size(*frame, path)
        if frame != (dataset.Columns, dataset.Rows):
            expected = f"{dataset.Columns}x{dataset.Rows}"
            raise ImageRejectedError.of(
                path, f"its header says {expected} pixels but the data has {frame[0]}x{frame[1]}"
            )
    # Some files keep their bits at the upper end; pydicom takes them for the lowest ones.
    dataset.BitsStored = max(int(dataset.BitsStored), int(dataset.get("HighBit") or 0) + 1)
    # Bits that are not declared belong to an overlay of old files, or the declaration is wrong and all are wanted.
    masked = bool(dataset.PixelRepresentation) or _has_overlay(dataset)
    stored = pixel_array(dataset, index=0, correct_unused_bits=masked)
    view = _view(dataset)
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        stored = apply_color_lut(stored, dataset)[..., :3]
    if stored.ndim == 3:
        stored = to_8_bits(stored, 8 * stored.dtype.itemsize)
        return Picture(_upright(_luminance(stored), dataset), share_of_colour(stored), view)
    return Picture(_upright(displayed(stored, dataset), dataset), view=view)


def _view(dataset: "Dataset") -> str:
    """The view position; ``LATERAL`` also where only the orientation or the view's code says so."""
    rows = (*(dataset.get("PatientOrientation") or ()), "")[0]
    codes = dataset.get("ViewCodeSequence") or ()
    meanings = [str(code.get("CodeMeaning") or "").upper() for code in codes]
    lateral = rows[:1] in ("A", "P") or any("LATERAL" in words and "DECUBITUS" not in words for words in meanings)
    return "LATERAL" if lateral else _code(dataset, "ViewPosition")


def _has_overlay(dataset: "Dataset") -> bool:
    """Whether one is kept in the pixels' unused bits."""
    positions = (dataset.get((0x6000 + 2 * number, 0x0102)) for number in range(16))
    return any(position is not None and position.value for position in positions)


def _luminance(colours: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Of RGB, ``(H, W, 3)``, by the weights of ITU-R 601."""
    weighted: NDArray[np.float64] = colours.astype(np.float64) @ [0.299, 0.587, 0.114]
    return weighted.round().astype(np.uint8)


def _upright(grey: NDArray[np.uint8], dataset: "Dataset") -> NDArray[np.uint8]:
    """Put the head at the top and the patient's right on the left, if the header says where they are."""
    rows, columns = (*(dataset.get("PatientOrientation") or ()), "", "")[:2]
    if rows[:1] in ("H", "F") and columns[:1] in ("L", "R", "A", "P"):
        grey, rows, columns = grey.T, columns, rows
    if columns[:1] == "H":
        grey = grey[::-1]
    if rows[:1] == "R" and columns[:1] in ("H", "F"):
        grey = grey[:, ::-1]
    return np.ascontiguousarray(grey)
