"""One cache on disk: a file of pixels, and an index that describes each row of it.

``pixels.u8`` holds images of S x S bytes, one after another. ``index.jsonl`` is its sidecar: a first line with the
settings, then a line per image with its file's size and modification time, its row and the row's checksum, or the
reason why it was rejected. Both files only grow, and pixels are on disk before their line is: a run that is
killed leaves nothing wrong behind, and runs that read are not disturbed by one that adds.
"""

import hashlib
import json
import math
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Self

import PIL

from cxr_lightning.imaging.reader import Interpolation

CACHE_FORMAT = 3
PIXELS_FILE = "pixels.u8"
INDEX_FILE = "index.jsonl"
_MAX_UNSAVED_SECONDS = 2.0
"""Maximum duration of work that is lost when a run is killed."""
_MAX_NAME_LENGTH = 40
"""Maximum number of letters of the data set's folder in the cache's name; file systems allow 255 bytes in all."""


@dataclass(frozen=True)
class CacheSpec:
    """Settings that decide the pixels, beside the image files.

    Attributes:
        root: The data set's folder; files are named relative to it.
        image_size: Side in pixels, S.
        interpolation: How images are resized.
    """

    root: Path
    image_size: int
    interpolation: Interpolation = "bilinear"

    @property
    def header(self) -> dict[str, Any]:
        """First line of the index. It names Pillow because other versions may decode or resize to other pixels."""
        return {
            "format": CACHE_FORMAT,
            "root": str(self.root.resolve()),
            "image_size": self.image_size,
            "interpolation": self.interpolation,
            "decoder": f"Pillow {PIL.__version__}",
        }

    def files(self, paths: Iterable[str]) -> list[str]:
        """Image files relative to the data set's folder, as the cache names them."""
        prefix = f"{self.root}{os.sep}"
        return [path.removeprefix(prefix) for path in paths]

    @property
    def folder_name(self) -> str:
        """Name of the cache's folder, different for every header: no run overwrites pixels that another may read."""
        return f"{self._family}-pillow{PIL.__version__}-v{CACHE_FORMAT}"

    def other_versions(self, cache_dir: Path) -> list[Path]:
        """Folders of caches of the same images by other versions, which this version cannot use."""
        found = cache_dir.glob(f"{self._family}-pillow*")
        return sorted(folder for folder in found if folder.name != self.folder_name)

    @property
    def _family(self) -> str:
        root = self.root.resolve()
        digest = hashlib.sha256(str(root).encode()).hexdigest()[:8]
        name = "".join(letter if letter.isalnum() else "_" for letter in root.name[:_MAX_NAME_LENGTH])
        return f"{name}-{digest}-{self.image_size}px-{self.interpolation}"


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """One line of the index.

    Attributes:
        file: The image file, relative to the data set's folder.
        size: Size of the image file in bytes when it was read.
        mtime_ns: Modification time of the image file when it was read.
        row: Row of its pixels; None if it was rejected.
        crc32: Checksum of the row's pixels.
        reason: Why it was rejected, as a clause.
        remedy: What to do, as a sentence.
    """

    file: str
    size: int
    mtime_ns: int
    row: int | None = None
    crc32: int | None = None
    reason: str = ""
    remedy: str = ""

    def to_line(self) -> bytes:
        """The line of the index; without attributes that are not set."""
        values = {name: value for name, value in asdict(self).items() if value not in (None, "")}
        return json.dumps(values).encode() + b"\n"


@dataclass
class CacheIndex:
    """Content of a cache.

    Attributes:
        entries: Entries by image file; the last line about a file counts.
        next_row: Row from which on new images are written.
        valid_bytes: Bytes of the index file that were parsed; the rest is the incomplete end of a killed run.
        error: Why an existing index cannot be used; empty otherwise.
    """

    entries: dict[str, IndexEntry] = field(default_factory=dict)
    next_row: int = 0
    valid_bytes: int = 0
    error: str = ""


def read_index(folder: Path, spec: CacheSpec) -> CacheIndex:
    """Read the index of a cache, as far as it is valid; it is empty if there is none."""
    index = CacheIndex()
    try:
        with (folder / INDEX_FILE).open("rb") as file:
            _read_lines(file, spec.header, index)
    except (FileNotFoundError, NotADirectoryError):
        pass
    except (ValueError, TypeError, KeyError) as error:  # a corrupted line: the lines after it are not used
        index.error = f"its index is damaged after {index.valid_bytes:,} bytes ({error})"
    pixels = folder / PIXELS_FILE
    size = pixels.stat().st_size if pixels.is_file() else 0
    complete = size // spec.image_size**2
    cut_off = [entry.file for entry in index.entries.values() if entry.row is not None and entry.row >= complete]
    for name in cut_off:
        del index.entries[name]
    if cut_off:
        index.error = f"its pixels are cut off: {len(cut_off):,} images are missing"
    # After all rows of the file: another run may be reading rows that this index does not know.
    index.next_row = max(index.next_row, math.ceil(size / spec.image_size**2))
    return index


def _read_lines(file: BinaryIO, header: Mapping[str, Any], index: CacheIndex) -> None:
    used_rows: set[int] = set()
    for line in file:
        if not line.endswith(b"\n"):
            return
        content = json.loads(line)
        if index.valid_bytes == 0:
            if content != header:
                raise ValueError(f"its settings are {content}, not {header}")
        else:
            entry = IndexEntry(**content)
            if not _is_valid(entry):
                raise ValueError(f"a line holds {content}")
            if entry.row in used_rows:
                raise ValueError(f"it names row {entry.row} twice")
            if entry.row is not None:
                used_rows.add(entry.row)
            index.entries[entry.file] = entry
            index.next_row = max(index.next_row, 0 if entry.row is None else entry.row + 1)
        index.valid_bytes += len(line)


def _is_valid(entry: IndexEntry) -> bool:
    """Whether an entry has either a row with a checksum, or a reason for its rejection."""
    if entry.row is None:
        return isinstance(entry.reason, str) and bool(entry.reason)
    return type(entry.row) is int and entry.row >= 0 and type(entry.crc32) is int


class CacheWriter:
    """Adds images to a cache; what was added is saved when the ``with`` block ends, also by an exception.

    Args:
        folder: The cache's folder, which must exist.
        spec: Settings of the cache.
        index: The index as read; it grows with the added entries.
    """

    def __init__(self, folder: Path, spec: CacheSpec, index: CacheIndex) -> None:
        self.index = index
        self._pixels = (folder / PIXELS_FILE).open("ab")
        self._file = (folder / INDEX_FILE).open("ab")
        valid = index.valid_bytes and not index.error
        self._file.truncate(index.valid_bytes if valid else 0)
        # An invalid index is rewritten: entries that it lost must not return when the file of pixels has grown again.
        kept = [entry.to_line() for entry in index.entries.values()]
        self._unsaved = [] if valid else [json.dumps(spec.header).encode() + b"\n", *kept]
        self._saved = time.monotonic()

    def add(self, entry: IndexEntry, *, permanent: bool = True) -> None:
        """Add an image whose pixels are written or that was rejected; unless ``permanent``, for this run only."""
        self.index.entries[entry.file] = entry
        if permanent:
            self._unsaved.append(entry.to_line())
        if time.monotonic() - self._saved > _MAX_UNSAVED_SECONDS:
            self.save()

    def save(self) -> None:
        """Write the pixels to the disk, then the lines about them."""
        os.fsync(self._pixels.fileno())
        self._file.writelines(self._unsaved)
        self._file.flush()
        os.fsync(self._file.fileno())
        self._unsaved, self._saved = [], time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._pixels, self._file:
            self.save()
