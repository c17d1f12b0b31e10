"""Where a DICOM file that cannot be decoded is cut off; without pydicom, which reads past the end in silence."""

from typing import Literal

from cxr_lightning.imaging.dicom_signature import LONG_VRS, PREAMBLE_BYTES, SHORT_VRS

_IMPLICIT, _DEFLATED, _BIG_ENDIAN = b"1.2.840.10008.1.2", b"1.2.840.10008.1.2.1.99", b"1.2.840.10008.1.2.2"
_TRANSFER_SYNTAX = 0x00020010
_FIRST_PIXELS, _LAST_PIXELS = 0x7FE00008, 0x7FE00010
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_UNDEFINED_LENGTH = 0xFFFFFFFF
_MAX_ELEMENTS = 100_000
"""Number of elements after which a file is looked at no further."""


def cut_off_in(content: bytes) -> Literal["", "header", "pixels"]:
    """Where a DICOM file ends too early: within an element, or before the end of one without a length.

    Args:
        content: The file's bytes.

    Returns:
        What it ends within; empty if it is whole, deflated, or damaged so that its elements do not follow each other.
    """
    start = PREAMBLE_BYTES + 4 if content[PREAMBLE_BYTES : PREAMBLE_BYTES + 4] == b"DICM" else 0
    position = start + 4 if content[start : start + 4] == b"DICM" else start
    syntax = _BIG_ENDIAN if content[position : position + 1] == b"\0" else b""  # as long as nothing else is stated
    last, depth = -1, 0
    for _ in range(_MAX_ELEMENTS):
        if len(content) - position < 8:
            whole = depth == 0 and last > 0x00080000 and not any(content[position:]) and position <= len(content)
            return "" if whole else "pixels" if _FIRST_PIXELS <= last <= _LAST_PIXELS else "header"
        tag, length, value = _element(content, position, syntax)
        if depth == 0 and tag <= last:
            return ""
        if syntax == _DEFLATED and tag >> 16 != 2:
            return ""
        if tag == _TRANSFER_SYNTAX and depth == 0:
            syntax = content[value : value + length].rstrip(b"\0 ")
        last = last if depth else tag
        if tag in (_ITEM_END, _SEQUENCE_END):
            depth -= 1
        elif length == _UNDEFINED_LENGTH:
            depth, length = depth + 1, 0
        position = value + length
    return ""


def _element(content: bytes, position: int, syntax: bytes) -> tuple[int, int, int]:
    """Tag of the element at a position, length of its value and where that begins."""

    def number(start: int, size: int) -> int:
        return int.from_bytes(content[position + start : position + start + size], order)

    meta = content[position : position + 2] == b"\x02\0"
    order: Literal["big", "little"] = "big" if syntax == _BIG_ENDIAN and not meta else "little"
    tag, kind = number(0, 2) << 16 | number(2, 2), content[position + 4 : position + 6]
    implicit = tag >> 16 == _ITEM >> 16 or (syntax == _IMPLICIT and not meta)
    if not implicit and kind in LONG_VRS:
        return tag, number(8, 4), position + 12
    if not implicit and kind in SHORT_VRS:
        return tag, number(6, 2), position + 8
    return tag, number(4, 4), position + 8
