"""Deflated DICOM files, which are inflated up to a limit."""

import zlib
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from cxr_lightning.imaging.decoded_image import MAX_PIXELS, ImageRejectedError

if TYPE_CHECKING:
    from pydicom import Dataset

_MAX_INFLATED_BYTES = 4 * MAX_PIXELS
"""Maximum size of a deflated file after inflating it."""
_PART_BYTES = 1 << 20


def read_elements(content: bytes, path: Path | str) -> "Dataset":
    """Read the elements of a DICOM file; of a deflated one, up to a size.

    Args:
        content: The file's bytes.
        path: Shown in messages.

    Raises:
        ImageRejectedError: If it is deflated, and cut off, or larger than an image when it is inflated.
    """
    from pydicom import dcmread
    from pydicom.dataset import FileDataset
    from pydicom.filereader import _read_file_meta_info, read_dataset, read_preamble
    from pydicom.uid import DeflatedExplicitVRLittleEndian

    if content.startswith(b"DICM"):
        content = bytes(128) + content
    file = BytesIO(content)
    preamble = read_preamble(file, force=True)
    # pydicom's own function, so that no file is deflated for pydicom alone: it would inflate it without a limit.
    meta = _read_file_meta_info(file)
    if meta.get("TransferSyntaxUID") != DeflatedExplicitVRLittleEndian:
        return dcmread(BytesIO(content), force=True)
    try:
        inflated = BytesIO(_inflate(file.read(), path))
    except EOFError:
        reason = "its DICOM data is cut off: the file ends within its deflated part"
        raise ImageRejectedError.from_reason(path, reason, "Get it again.", code="cut_off") from None
    elements = read_dataset(inflated, is_implicit_VR=False, is_little_endian=True)
    dataset = FileDataset(inflated, elements, preamble, meta, is_implicit_VR=False, is_little_endian=True)
    dataset.set_original_encoding(False, True)
    return dataset


def _inflate(content: bytes, path: Path | str) -> bytes:
    """Inflate in two passes: the first one keeps nothing, so that a file that is too large takes no memory."""
    size = 0
    for part in _inflated_parts(content):
        size += len(part)
        if size > _MAX_INFLATED_BYTES:
            reason = f"it is compressed and larger than {_MAX_INFLATED_BYTES:,} bytes when it is not"
            raise ImageRejectedError.from_reason(path, reason, code="too_large")
    return b"".join(_inflated_parts(content))


def _inflated_parts(content: bytes) -> Iterator[bytes]:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    while not inflater.eof:
        part = inflater.decompress(content, _PART_BYTES)
        if not part and not inflater.unconsumed_tail and not inflater.eof:
            raise EOFError
        content = inflater.unconsumed_tail
        yield part
