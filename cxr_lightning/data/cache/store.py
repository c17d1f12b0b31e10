"""One cache on disk: a file of pixels, and an index that describes each row of it.

``pixels.u8`` holds images of S x S bytes, one after another. ``index.jsonl`` is its sidecar: a first line with the
settings, then a line per image with its file's size and modification time, its row, the row's checksum and the quality
flags of the file, or the reason why it was rejected. Both files only grow, and pixels are on disk before their line is:
a run that is killed leaves nothing wrong behind, and runs that read are not disturbed by one that adds.
"""

import hashlib
import math
import os
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Self

import PIL

from cxr_lightning.data.cache.index_lines import (
    MAX_LINE_BYTES,
    IndexEntry,
    IndexHeader,
    can_be_read_back,
    describe_difference,
    parse_entry,
    parse_header,
)
from cxr_lightning.imaging.reader import Interpolation
from cxr_lightning.utils.regular_files import open_regular

CACHE_FORMAT = 5
PIXELS_FILE = "pixels.u8"
INDEX_FILE = "index.jsonl"
_VERIFY_FILE = ".verify"
"""Empty file that a run leaves which has found damaged pixels: the next one compares all with their checksums."""
_MAX_INDEX_BYTES = 500_000_000
"""Maximum size of an index that is read, of about three million images."""
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
        force: Whether DICOM files are decoded that are no chest radiographs by their headers.
    """

    root: Path
    image_size: int
    interpolation: Interpolation = "bilinear"
    force: bool = False

    @property
    def header(self) -> IndexHeader:
        """First line of the index."""
        root = os.fsencode(self.root.resolve()).decode(errors="backslashreplace")
        decoder = f"Pillow {PIL.__version__}"
        return IndexHeader(CACHE_FORMAT, root, self.image_size, self.interpolation, decoder, self.force)

    def files(self, paths: Iterable[str]) -> list[str]:
        """Image files relative to the data set's folder, as the cache names them."""
        prefix = str(self.root).rstrip(os.sep) + os.sep
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
        digest = hashlib.sha256(os.fsencode(root)).hexdigest()[:8]
        name = "".join(letter if letter.isalnum() else "_" for letter in root.name[:_MAX_NAME_LENGTH])
        return f"{name}-{digest}-{self.image_size}px-{self.interpolation}{'-force' if self.force else ''}"


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
    """Read the index of a cache, as far as it is valid; it is empty if there is none.

    Raises:
        OSError: If the index or the file of pixels cannot be read, or is no regular file.
    """
    index = read_part_of_index(folder / INDEX_FILE, spec)
    size = _size_of_pixels(folder)
    complete = size // spec.image_size**2
    cut_off = [entry.file for entry in index.entries.values() if entry.row is not None and entry.row >= complete]
    for name in cut_off:
        del index.entries[name]
    if cut_off:
        index.error = f"its pixels are cut off: {len(cut_off):,} images are missing"
    # After all rows of the file: another run may be reading rows that this index does not know.
    index.next_row = max(index.next_row, math.ceil(size / spec.image_size**2))
    return index


def read_part_of_index(path: Path, spec: CacheSpec) -> CacheIndex:
    """Read a file of an index as far as it is valid, whatever the file of pixels holds."""
    index = CacheIndex()
    try:
        with open_regular(path) as file:
            _read_lines(file, spec.header, index)
    except (FileNotFoundError, NotADirectoryError):
        pass
    except ValueError as error:  # a corrupted line: the lines after it are not used
        index.error = f"its index is damaged after {index.valid_bytes:,} bytes ({error})"
    return index


def _size_of_pixels(folder: Path) -> int:
    try:
        with open_regular(folder / PIXELS_FILE) as file:
            return os.fstat(file.fileno()).st_size
    except (FileNotFoundError, NotADirectoryError):
        return 0


def _read_lines(file: BinaryIO, header: IndexHeader, index: CacheIndex) -> None:
    size = os.fstat(file.fileno()).st_size
    if size > _MAX_INDEX_BYTES:
        raise ValueError(f"it has {size:,} bytes, more than {_MAX_INDEX_BYTES:,}")
    used_rows: set[int] = set()
    while line := file.readline(MAX_LINE_BYTES):
        if not line.endswith(b"\n"):
            if len(line) == MAX_LINE_BYTES:
                raise ValueError(f"a line is longer than {MAX_LINE_BYTES:,} bytes")
            return
        if index.valid_bytes == 0:
            if line != header.to_line():
                raise ValueError(describe_difference(parse_header(line), header))
        else:
            entry = parse_entry(line)
            if entry.row is not None:
                if entry.row in used_rows:
                    raise ValueError(f"it names row {entry.row} twice")
                used_rows.add(entry.row)
                index.next_row = max(index.next_row, entry.row + 1)
            index.entries[entry.file] = entry
        index.valid_bytes += len(line)


def request_verification(folder: Path) -> bool:
    """Have the next run compare all pixels with their checksums; returns False if nothing can be written there."""
    try:
        (folder / _VERIFY_FILE).touch()
    except OSError:
        return False
    return True


def requested_verification(folder: Path) -> int | None:
    """When a run has last requested verification, by the clock of the file system; None without a request."""
    try:
        return (folder / _VERIFY_FILE).lstat().st_mtime_ns
    except OSError:
        return None


def withdraw_verification(folder: Path, requested: int) -> None:
    """Forget a request for verification, once it was done; one that was made in the meantime stays.

    Args:
        folder: The cache's folder.
        requested: From :func:`requested_verification`, before the comparison began.
    """
    if requested_verification(folder) == requested:
        with suppress(OSError):  # of a folder that one may only read
            (folder / _VERIFY_FILE).unlink(missing_ok=True)


class CacheWriter:
    """Adds images to a cache; what was added is saved when the ``with`` block ends, also by an exception.

    Args:
        folder: The cache's folder, which must exist.
        spec: Settings of the cache.
        index: The index as read; it grows with the added entries.
        path: File of the index; another than the cache's own for a part of it.
    """

    def __init__(self, folder: Path, spec: CacheSpec, index: CacheIndex, path: Path | None = None) -> None:
        self.index = index
        self._pixels = (folder / PIXELS_FILE).open("ab")
        self._file = (path or folder / INDEX_FILE).open("ab")
        valid = index.valid_bytes and not index.error
        self._file.truncate(index.valid_bytes if valid else 0)
        # An invalid index is rewritten: entries that it lost must not return when the file of pixels has grown again.
        kept = [entry.to_line() for entry in index.entries.values()]
        self._unsaved = [] if valid else [spec.header.to_line(), *kept]
        self._saved = time.monotonic()

    def add(self, entry: IndexEntry, *, permanent: bool = True) -> None:
        """Add an image whose pixels are written or that was rejected; unless ``permanent``, for this run only."""
        self.index.entries[entry.file] = entry
        line = entry.to_line()
        # What a later run would take for damage is for this run only as well.
        if permanent and can_be_read_back(line):
            self._unsaved.append(line)
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
