"""Size of a compressed DICOM frame by its own header, read before a decoder allocates memory for it."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydicom import Dataset

_NO_FRAME_MARKERS = frozenset({0xC4, 0xC8, 0xCC})
"""JPEG markers in the range of frame headers that do not begin a frame."""
_MARKERS_WITHOUT_LENGTH = frozenset({0x01, 0xD8, *range(0xD0, 0xD8)})
"""JPEG markers that no length follows."""


def frame_size(dataset: "Dataset") -> tuple[int, int] | None:
    """Width and height of the first compressed frame; None if the pixels are not compressed or the size is unknown."""
    from pydicom.encaps import generate_frames

    syntax = getattr(dataset.file_meta, "TransferSyntaxUID", None) if hasattr(dataset, "file_meta") else None
    if syntax is None or not syntax.is_compressed or syntax.is_deflated:
        return None
    frame = next(generate_frames(dataset.PixelData, number_of_frames=int(dataset.get("NumberOfFrames") or 1)), b"")
    return _jpeg_size(frame) or _jpeg_2000_size(frame)


def _jpeg_size(frame: bytes) -> tuple[int, int] | None:
    """Width and height of a JPEG or JPEG-LS frame (ITU-T T.81, B.2.2; T.87, C.2.2)."""
    if not frame.startswith(b"\xff\xd8"):
        return None
    position = 2
    while position + 9 <= len(frame) and frame[position] == 0xFF:
        marker = frame[position + 1]
        if (0xC0 <= marker <= 0xCF and marker not in _NO_FRAME_MARKERS) or marker == 0xF7:
            height, width = frame[position + 5 : position + 7], frame[position + 7 : position + 9]
            return int.from_bytes(width), int.from_bytes(height)
        if marker == 0xFF:
            position += 1
        elif marker in _MARKERS_WITHOUT_LENGTH:
            position += 2
        else:
            position += 2 + int.from_bytes(frame[position + 2 : position + 4])
    return None


def _jpeg_2000_size(frame: bytes) -> tuple[int, int] | None:
    """Width and height of a JPEG 2000 code stream, also within a JP2 file (ITU-T T.800, A.5.1)."""
    start = frame.find(b"\xff\x4f\xff\x51")
    if start < 0:
        return None
    right, bottom, left, top = (int.from_bytes(frame[start + 8 + 4 * n : start + 12 + 4 * n]) for n in range(4))
    return right - left, bottom - top
