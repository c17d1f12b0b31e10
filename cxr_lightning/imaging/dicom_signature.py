"""What a DICOM file is by its first bytes, with and without a preamble; without pydicom."""

import re

PREAMBLE_BYTES = 128
"""Number of bytes before ``DICM``."""
_FIRST_GROUPS = frozenset({0x0002, 0x0004, 0x0008, 0x0010, 0x0018, 0x0020, 0x0028})
"""Groups that a DICOM file without a preamble begins with."""
LONG_VRS = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
SHORT_VRS = frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())
_META_GROUP, _LAST_GROUP = 0x0002, 0x7FE0
_FIRST_PRIVATE_GROUP, _LAST_FIRST_GROUP = 0x0009, 0x0040
_CHARACTER_SET = 0x00080005
"""Tag of the element that files often begin with, and that may be empty."""
_MAX_FIRST_LENGTH = 1 << 16
"""Maximum length of the first elements of a file without a preamble."""
_CHECKED_ELEMENTS = 4
_SOP_CLASS = re.compile(
    rb"(?:\x02\x00\x02\x00|\x08\x00\x16\x00|\x00\x08\x00\x16)(?:UI..|..\0\0|\0\0..)([0-9.]{10,64})", re.DOTALL
)
"""SOP class in the file's meta data or elements, with and without value representation."""

_STORAGE = "1.2.840.10008.5.1.4.1.1."
_KINDS = {
    "1.2.840.10008.1.3.10": "DICOMDIR file",
    f"{_STORAGE}66": "raw data file",
    f"{_STORAGE}66.1": "registration",
    f"{_STORAGE}66.2": "registration",
    f"{_STORAGE}66.3": "registration",
    f"{_STORAGE}66.5": "surface segmentation",
    f"{_STORAGE}88.59": "key object selection",
    f"{_STORAGE}104.1": "PDF document in DICOM",
    f"{_STORAGE}104.2": "CDA document in DICOM",
    f"{_STORAGE}481.3": "radiotherapy structure set",
    f"{_STORAGE}481.4": "radiotherapy treatment record",
    f"{_STORAGE}481.5": "radiotherapy plan",
    f"{_STORAGE}481.8": "radiotherapy plan",
}
"""Kinds of files without pixels, by SOP class."""
_FAMILIES = {
    f"{_STORAGE}9.": "waveform",
    f"{_STORAGE}11.": "presentation state",
    f"{_STORAGE}88.": "structured report",
    f"{_STORAGE}104.": "document in DICOM",
    "1.2.840.10008.5.1.4.38.": "hanging protocol",
    "1.2.840.10008.5.1.4.39.": "color palette",
}
"""Kinds by what their SOP classes begin with."""
_IMAGE_CLASSES = re.compile(
    re.escape(_STORAGE) + r"(1(\.[1-3](\.1)?)?|2(\.1)?|3\.1|4|5|6(\.1)?|7(\.[1-4])?|12\.[12](\.1)?|13\.1\.[1-5]|20|128)"
)
"""SOP classes of images: CR, DX, mammography, dental, CT, MR, ultrasound, SC, angiography, tomosynthesis, NM, PET."""
_MODALITIES = {
    "PR": "presentation state",
    "SR": "structured report",
    "KO": "key object selection",
    "DOC": "document in DICOM",
    "ECG": "waveform",
    "AU": "waveform",
    "HD": "waveform",
    "REG": "registration",
    "RTSTRUCT": "radiotherapy structure set",
    "RTPLAN": "radiotherapy plan",
}
"""Kinds of files without pixels, by modality."""


def is_dicom(head: bytes) -> bool:
    """Whether a file's first ``SIGNATURE_BYTES`` bytes are those of a DICOM file, with or without its preamble.

    Without it, the first elements must be possible ones in ascending order, explicit or implicit, in either byte order.
    """
    if head[PREAMBLE_BYTES : PREAMBLE_BYTES + 4] == b"DICM":
        return True
    start = 4 if head.startswith(b"DICM") else 0
    if b"\0" not in head[start : start + 4]:
        return False  # one byte of the first group's number is zero
    return any(_begins_with_elements(head[start:], order) for order in ("little", "big"))


def dicom_kind_of(sop_class: str, modality: str = "") -> str:
    """What a DICOM file without pixels is, a noun; empty if it may be an image.

    Args:
        sop_class: Its SOP class UID.
        modality: Its modality, which tells for files without pixels.

    Example:
        >>> dicom_kind_of("1.2.840.10008.1.3.10"), dicom_kind_of("1.2.840.10008.5.1.4.1.1.88.11")
        ('DICOMDIR file', 'structured report')
    """
    family = next((kind for start, kind in _FAMILIES.items() if sop_class.startswith(start)), "")
    return _KINDS.get(sop_class) or family or _MODALITIES.get(modality, "")


def is_image_class(sop_class: str) -> bool:
    """Whether the files of a SOP class have pixels.

    Example:
        >>> is_image_class("1.2.840.10008.5.1.4.1.1.1.1"), is_image_class("1.2.840.10008.5.1.4.1.1.88.11")
        (True, False)
    """
    return bool(_IMAGE_CLASSES.fullmatch(sop_class))


def dicom_kind(head: bytes) -> str:
    """What a DICOM file without pixels is by its first bytes, a noun; empty if it may be an image."""
    found = _SOP_CLASS.search(head)
    return dicom_kind_of(found[1].decode()) if found else ""


def _begins_with_elements(content: bytes, order: str) -> bool:
    """Whether the first elements are possible ones, their tags ascend, and the first one belongs at a file's start."""
    position, last = 0, -1
    for _ in range(_CHECKED_ELEMENTS):
        if len(content) - position < 12:
            break
        tag, size = _element(content[position : position + 12], order == "little", last) or (0, 0)
        group = tag >> 16
        private = group % 2 == 1 and group < _FIRST_PRIVATE_GROUP
        if tag <= last or private or group > _LAST_GROUP or (last < 0 and not _is_first_group(group, content[4:6])):
            return last >> 16 == _META_GROUP  # what follows the meta data may be deflated
        position, last = position + size, tag
    return last >= 0 and (position <= len(content) or content[4:6] in SHORT_VRS | LONG_VRS)


def _is_first_group(group: int, kind: bytes) -> bool:
    """Whether a file may begin with a group; with more of them where a value representation follows."""
    explicit = kind in SHORT_VRS | LONG_VRS
    return group in _FIRST_GROUPS or (explicit and _FIRST_PRIVATE_GROUP <= group <= _LAST_FIRST_GROUP)


def _element(start: bytes, little: bool, last: int) -> tuple[int, int] | None:
    """Tag and size in bytes of the element at the start; None if it is none, or none that a file begins with."""

    def number(piece: bytes) -> int:
        return int.from_bytes(piece, "little" if little else "big")

    tag = number(start[:2]) << 16 | number(start[2:4])
    kind = start[4:6]
    if kind in SHORT_VRS:
        return tag, 8 + number(start[6:8])
    if kind in LONG_VRS and start[6:8] == b"\0\0":
        length = number(start[8:12])
        return tag, 12 + length
    if not little:
        return None
    length = number(start[4:8])
    possible = length == 4 if tag % (1 << 16) == 0 else 0 < length <= _MAX_FIRST_LENGTH
    empty = not length and (last >= 0 or tag == _CHARACTER_SET)
    return (tag, 8 + length) if possible or empty else None
