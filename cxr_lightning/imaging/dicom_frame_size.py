"""The size of a compressed frame by its own header, read before a decoder allocates what that says."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydicom import Dataset

_NO_FRAME = frozenset({0xC4, 0xC8, 0xCC})
"""JPEG markers among those of frames that begin none."""
_BARE = frozenset({0x01, 0xD8, *range(0xD0, 0xD8)})
"""JPEG markers without a length."""


def frame_size(dataset: "Dataset") -> tuple[int, int] | None:
    """Width and height that the first frame of compressed pixels has; None if it is not compressed, or unknown."""
    from pydicom.encaps import generate_frames

    syntax = getattr(dataset.file_meta, "TransferSyntaxUID", None) if hasattr(dataset, "file_meta") else None
    if syntax is None or not syntax.is_compressed or syntax.is_deflated:
        return None
    frame = next(generate_frames(dataset.PixelData, number_of_frames=int(dataset.get("NumberOfFrames") or 1)), b"")
    return _of_jpeg(frame) or _of_jpeg_2000(frame)


def _of_jpeg(frame: bytes) -> tuple[int, int] | None:
    """Of JPEG and JPEG-LS (ITU-T T.81, B.2.2; T.87, C.2.2)."""
    if not frame.startswith(b"\xff\xd8"):
        return None
    at = 2
    while at + 9 <= len(frame) and frame[at] == 0xFF:
        marker = frame[at + 1]
        if (0xC0 <= marker <= 0xCF and marker not in _NO_FRAME) or marker == 0xF7:
            return int.from_bytes(frame[at + 7 : at + 9]), int.from_bytes(frame[at + 5 : at + 7])
        at += 1 if marker == 0xFF else 2 if marker in _BARE else 2 + int.from_bytes(frame[at + 2 : at + 4])
    return None


def _of_jpeg_2000(frame: bytes) -> tuple[int, int] | None:
    """Of a code stream, also within a JP2 file (ITU-T T.800, A.5.1)."""
    at = frame.find(b"\xff\x4f\xff\x51")
    if at < 0:
        return None
    right, bottom, left, top = (int.from_bytes(frame[at + 8 + 4 * n : at + 12 + 4 * n]) for n in range(4))
    return right - left, bottom - top
