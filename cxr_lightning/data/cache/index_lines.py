"""Lines of a cache's index: their types, their bounds and their checksums, and how they are written and read.

The first line states the settings of the cache. Every other line is about one image file, and ends with a checksum of
what is before it: a damaged name, row or number is recognized, and no image gets the pixels of another.
"""

import json
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationError

from cxr_lightning.imaging.decoded_image import QualityFlag
from cxr_lightning.imaging.reader import Interpolation
from cxr_lightning.utils.paths import MAX_PATH_BYTES, escapes_root
from cxr_lightning.utils.plain_text import hidden_characters
from cxr_lightning.utils.typed_values import describe_errors

MAX_LINE_BYTES = 100_000
"""Maximum length of a line: more than the longest texts take in JSON."""
_MAX_TEXT_LENGTH = 2000
_MAX_FLAGS, _MAX_FLAG_LENGTH = 16, 250
_MAX_ROW = 1_000_000_000
_MAX_INT64 = 2**63 - 1
_CHECKSUM_KEY = b', "line_crc32": '


def _plain_text(text: str) -> str:
    if hidden_characters(text):
        raise ValueError("expected no control or invisible characters")
    return text


def _name_below_root(name: str) -> str:
    if escapes_root(_plain_text(name)):
        raise ValueError("expected a path below the data set's folder")
    return name


_Text = Annotated[str, Field(max_length=_MAX_TEXT_LENGTH), AfterValidator(_plain_text)]
_FileName = Annotated[str, Field(min_length=1, max_length=MAX_PATH_BYTES), AfterValidator(_name_below_root)]
_FlagCode = Annotated[str, Field(pattern="^[a-z][a-z0-9_]{0,39}$")]
_FlagMessage = Annotated[str, Field(min_length=1, max_length=_MAX_FLAG_LENGTH), AfterValidator(_plain_text)]
_Flag = tuple[_FlagCode, _FlagMessage]
_STRICT = ConfigDict(strict=True, extra="forbid")


@dataclass(frozen=True, slots=True)
class IndexHeader:
    """The first line of the index.

    Attributes:
        format: Version of the cache's format.
        root: The data set's folder.
        image_size: Side of the images in pixels.
        interpolation: How images are resized.
        decoder: Name and version of what decodes and resizes: other versions may give other pixels.
        force: Whether DICOM files are decoded that are no chest radiographs by their headers.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT
    format: Annotated[int, Field(ge=1, le=_MAX_INT64)]
    root: Annotated[str, Field(max_length=MAX_PATH_BYTES)]
    image_size: Annotated[int, Field(ge=1, le=_MAX_INT64)]
    interpolation: Interpolation
    decoder: _Text
    force: bool = False

    def to_line(self) -> bytes:
        """The line of the index."""
        return json.dumps(asdict(self)).encode() + b"\n"


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """One line of the index about an image file.

    Attributes:
        file: The image file, relative to the data set's folder.
        size: Size of the image file in bytes when it was read.
        mtime_ns: Modification time of the image file when it was read.
        row: Row of its pixels; None if it was rejected.
        crc32: Checksum of the row's pixels.
        reason: Why it was rejected, as a clause.
        remedy: What to do, as a sentence.
        flags: Code and message of each quality flag of the decoded file; see :attr:`quality_flags`.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT
    file: _FileName
    size: Annotated[int, Field(ge=0, le=_MAX_INT64)]
    mtime_ns: Annotated[int, Field(ge=-_MAX_INT64, le=_MAX_INT64)]
    row: Annotated[int, Field(ge=0, le=_MAX_ROW)] | None = None
    crc32: Annotated[int, Field(ge=0, lt=2**32)] | None = None
    reason: _Text = ""
    remedy: _Text = ""
    flags: Annotated[tuple[_Flag, ...], Field(max_length=_MAX_FLAGS)] = ()

    @property
    def quality_flags(self) -> tuple[QualityFlag, ...]:
        """The flags of the decoded file, by their fields."""
        return tuple(QualityFlag(*flag) for flag in self.flags)

    def to_line(self) -> bytes:
        """The line of the index; without attributes that are not set."""
        values = {name: value for name, value in asdict(self).items() if value not in (None, "", ())}
        return _with_checksum(json.dumps(values).encode().removesuffix(b"}"))


_HEADER, _ENTRY = TypeAdapter(IndexHeader), TypeAdapter(IndexEntry)


def parse_header(line: bytes) -> IndexHeader:
    """Parse the first line.

    Raises:
        ValueError: If it is no header.
    """
    try:
        return _HEADER.validate_json(line)
    except ValidationError as error:
        raise ValueError(f"in its first line, {describe_errors(error)}") from error


def parse_entry(line: bytes) -> IndexEntry:
    """Parse a line about an image file.

    Raises:
        ValueError: If the line is damaged, or states neither a row with its checksum nor a reason for a rejection.
    """
    content = line.rpartition(_CHECKSUM_KEY)[0]
    if _with_checksum(content) != line:
        raise ValueError("a line differs from its checksum")
    try:
        entry = _ENTRY.validate_json(content + b"}")
    except ValidationError as error:
        raise ValueError(f"in a line, {describe_errors(error)}") from error
    if (entry.row is None) != bool(entry.reason) or (entry.row is None) != (entry.crc32 is None):
        raise ValueError("a line has neither a row with its checksum nor a reason for a rejection")
    if entry.row is None and entry.flags:
        raise ValueError("a line has quality flags of a file that was rejected")
    return entry


def can_be_read_back(line: bytes) -> bool:
    """Whether a line about an image file is valid: not if, for example, its name has control characters."""
    try:
        parse_entry(line)
    except ValueError:
        return False
    return len(line) <= MAX_LINE_BYTES


def describe_difference(found: IndexHeader, expected: IndexHeader) -> str:
    """The settings that differ between two headers, as a clause.

    Example:
        >>> one = IndexHeader(5, "/data", 224, "bilinear", "Pillow 12.0.0")
        >>> describe_difference(one, IndexHeader(5, "/data", 224, "nearest", "Pillow 12.0.0"))
        "its settings are interpolation 'bilinear', not 'nearest'"
    """
    values: Mapping[str, Any] = asdict(expected)
    parts = [
        f"{name} {value!r}, not {values[name]!r}" for name, value in asdict(found).items() if value != values[name]
    ]
    return f"its settings are {'; '.join(parts)}" if parts else "its first line is written in another way"


def _with_checksum(content: bytes) -> bytes:
    return content + _CHECKSUM_KEY + b"%d}\n" % zlib.crc32(content)
