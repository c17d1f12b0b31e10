"""Image files are decoded in a process with limited memory and time, where a decoder may crash or stall."""

import json
from pathlib import Path

import numpy as np

from cxr_lightning.imaging.decoded_image import MAX_PIXELS, DecodedImage, ImageRejectedError, QualityFlag
from cxr_lightning.imaging.dicom_signature import is_dicom
from cxr_lightning.imaging.signatures import SIGNATURE_BYTES, image_format, unknown_format
from cxr_lightning.utils.limited_process import LimitedCallError, LimitedFunction, Limits

_WORKER = "cxr_lightning.imaging.isolated_worker"
_MAX_HEADER_BYTES = 1 << 20
_LIMITS = Limits(memory=1 << 30, seconds=10, file_bytes=1 << 24, answer_bytes=MAX_PIXELS + _MAX_HEADER_BYTES)
_decode = LimitedFunction(_WORKER, "handle_image", _LIMITS)
_decode_forced = LimitedFunction(_WORKER, "handle_image_forced", _LIMITS)


def decode_isolated(content: bytes, path: Path | str, *, force: bool = False) -> DecodedImage:
    """Decode an image file's bytes in a process of its own, which is kept for the next file.

    Args:
        content: The file's bytes.
        path: Shown in messages.
        force: Decode a DICOM file although its header states that it is no chest radiograph.

    Raises:
        ImageRejectedError: If it is no image, is damaged or too large, or its decoder crashes or exceeds a limit.
    """
    dicom = is_dicom(content[:SIGNATURE_BYTES])
    if not dicom and not image_format(content[:SIGNATURE_BYTES]):
        raise unknown_format(content[:SIGNATURE_BYTES]).rejection(path)
    try:
        answer = (_decode_forced if force else _decode)(content)
    except LimitedCallError as error:
        raise _limit_rejection(error, path, dicom) from None
    except OSError as error:  # no further process can be started
        raise ImageRejectedError.from_os_error(path, error) from error
    return _image_of(answer, path)


def _image_of(answer: bytes, path: Path | str) -> DecodedImage:
    """The image in an answer of :mod:`~cxr_lightning.imaging.isolated_worker`, or the rejection that is in it."""
    end = answer.index(b"\n")
    header = json.loads(answer[:end])
    if "reason" in header:
        raise ImageRejectedError.from_reason(path, **header)
    shape = header.pop("shape")
    flags = tuple(QualityFlag(*flag) for flag in header.pop("flags"))
    pixels = np.frombuffer(answer, np.uint8, offset=end + 1).reshape(shape).copy()
    return DecodedImage(pixels, flags=flags, **header)


def _limit_rejection(error: LimitedCallError, path: Path | str, dicom: bool) -> ImageRejectedError:
    """The rejection of a file whose decoder gave no answer; it is no permanent one, as the machine may be the cause."""
    if error.exceeds_limits:
        return ImageRejectedError.from_reason(path, f"{error} to decode", code="too_large", permanent=False)
    # What a library says about a DICOM file may quote the patient's data.
    reason = "its DICOM data cannot be decoded (the decoder ended)" if dicom else f"it cannot be decoded ({error})"
    return ImageRejectedError.from_reason(path, reason, "Download or export it again.", permanent=False)
