"""Whether all readers of a zip archive find the same files in it."""

import struct
from os import SEEK_END
from typing import Any, BinaryIO, NamedTuple

_EOCD, _ZIP64_LOCATOR, _ZIP64_EOCD = "<4s4H2LH", "<4sLQL", "<4sQ2H2L4Q"
"""Formats of the end of central directory record, of the locator of its ZIP64 form, and of that (APPNOTE 4.3.14-16)."""
_ZIP64 = 0xFFFFFFFF
"""Value that refers to the ZIP64 record for the real one."""


class _EndRecord(NamedTuple):
    """The end of central directory record of an archive, or the ZIP64 form of it."""

    signature: bytes
    directory_size: int
    directory_start: int
    comment_length: int = 0


def has_one_directory(file: BinaryIO) -> bool:
    """Whether an archive's central directory is where its end says, just before it: all readers find the same one.

    Args:
        file: The archive.
    """
    last = file.seek(0, SEEK_END) - struct.calcsize(_EOCD)
    fields = _unpack(file, last, _EOCD)
    if fields is None:
        return False
    end, stop = _EndRecord(fields[0], *fields[5:8]), last
    if end.signature != b"PK\5\6" or end.comment_length != 0:  # a comment could hold another one
        return False
    locator = _unpack(file, last - struct.calcsize(_ZIP64_LOCATOR), _ZIP64_LOCATOR)
    if locator is not None and locator[0] == b"PK\6\7":
        stop = last - struct.calcsize(_ZIP64_LOCATOR) - struct.calcsize(_ZIP64_EOCD)
        fields = _unpack(file, stop, _ZIP64_EOCD)
        if fields is None or fields[0] != b"PK\6\6" or locator[2] != stop:
            return False
        short, end = end, _EndRecord(fields[0], *fields[8:])
        if short.directory_size not in (end.directory_size, _ZIP64):
            return False
        if short.directory_start not in (end.directory_start, _ZIP64):
            return False
    return end.directory_start + end.directory_size == stop


def _unpack(file: BinaryIO, place: int, record: str) -> tuple[Any, ...] | None:
    """The fields of a record at a place of a file; None if it does not lie there whole."""
    size = struct.calcsize(record)
    if place < 0:
        return None
    file.seek(place)
    content = file.read(size)
    return struct.unpack(record, content) if len(content) == size else None
