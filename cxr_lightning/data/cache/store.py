"""One cache on disk: a file of pixels, and an index that says what each row of it is.

``pixels.u8`` holds images of S x S bytes, one after another. ``index.jsonl`` is its sidecar: a first line with the
settings, then a line per image with its file's size and modification time, its row and the row's checksum, or the
reason why it was rejected. Both only ever grow, and pixels are on disk before their line is: so a run that is killed
leaves nothing that is wrong, and runs that read are not disturbed by one that adds.
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

FORMAT = 3
PIXELS_FILE = "pixels.u8"
INDEX_FILE = "index.jsonl"
_SAVE_SECONDS = 2.0
"""Of work that is lost at most when a run is killed."""
_LONGEST_NAME = 40
"""Letters of the data set's folder in the cache's name; file systems allow 255 bytes in all."""


@dataclass(frozen=True)
class CacheSpec:
    """What decides the pixels, beside the image files.

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
        """The index's first line. Another version of Pillow may decode or resize to other pixels."""
        return {
            "format": FORMAT,
            "root": str(self.root.resolve()),
            "image_size": self.image_size,
            "interpolation": self.interpolation,
            "decoder": f"Pillow {PIL.__version__}",
        }

    def files(self, paths: Iterable[str]) -> list[str]:
        """Image files as the cache names them: relative to the data set's folder."""
        prefix = f"{self.root}{os.sep}"
        return [path.removeprefix(prefix) for path in paths]

    @property
    def folder_name(self) -> str:
        """Different for every header, so that nothing is ever prepared over what another run may be reading."""
        return f"{self._family}-pillow{PIL.__version__}-v{FORMAT}"

    def others(self, cache_dir: Path) -> list[Path]:
        """Caches of the same images by other versions, which this one cannot use."""
        found = cache_dir.glob(f"{self._family}-pillow*")
        return sorted(folder for folder in found if folder.name != self.folder_name)

    @property
    def _family(self) -> str:
        root = self.root.resolve()
        digest = hashlib.sha256(str(root).encode()).hexdigest()[:8]
        name = "".join(letter if letter.isalnum() else "_" for letter in root.name[:_LONGEST_NAME])
        return f"{name}-{digest}-{self.image_size}px-{self.interpolation}"


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the index.

    Attributes:
        file: The image, relative to the data set's folder.
        size: Of the file in bytes, when it was read.
        mtime_ns: Its modification time then.
        row: Where its pixels are; None if it was rejected.
        crc32: Of the row's pixels.
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

    def line(self) -> bytes:
        """As in the index; without what is not set."""
        values = {name: value for name, value in asdict(self).items() if value not in (None, "")}
        return json.dumps(values).encode() + b"\n"


@dataclass
class Index:
    """What is in a cache.

    Attributes:
        entries: By file; the last line about a file counts.
        rows: Where new rows begin.
        length: Bytes of the index file that were understood; what follows is the torn end of a killed run.
        fault: Why an index that is there cannot be used; empty otherwise.
    """

    entries: dict[str, Entry] = field(default_factory=dict)
    rows: int = 0
    length: int = 0
    fault: str = ""


def read_index(folder: Path, spec: CacheSpec) -> Index:
    """The index of a cache, as far as it can be trusted; empty if there is none."""
    index = Index()
    try:
        with (folder / INDEX_FILE).open("rb") as file:
            _read_lines(file, spec.header, index)
    except (FileNotFoundError, NotADirectoryError):
        pass
    except (ValueError, TypeError, KeyError) as error:  # a damaged line: what follows it is not trusted
        index.fault = f"its index is damaged after {index.length:,} bytes ({error})"
    pixels = folder / PIXELS_FILE
    size = pixels.stat().st_size if pixels.is_file() else 0
    there = size // spec.image_size**2
    cut = [entry.file for entry in index.entries.values() if entry.row is not None and entry.row >= there]
    for name in cut:
        del index.entries[name]
    if cut:
        index.fault = f"its pixels are cut off: {len(cut):,} images are missing"
    # After all that was ever there: another run may be reading rows that this index does not know.
    index.rows = max(index.rows, math.ceil(size / spec.image_size**2))
    return index


def _read_lines(file: BinaryIO, header: Mapping[str, Any], index: Index) -> None:
    taken: set[int] = set()
    for line in file:
        if not line.endswith(b"\n"):
            return
        content = json.loads(line)
        if index.length == 0:
            if content != header:
                raise ValueError(f"its settings are {content}, not {header}")
        else:
            entry = Entry(**content)
            if not _is_sound(entry):
                raise ValueError(f"it says {content}")
            if entry.row in taken:
                raise ValueError(f"it names row {entry.row} twice")
            if entry.row is not None:
                taken.add(entry.row)
            index.entries[entry.file] = entry
            index.rows = max(index.rows, 0 if entry.row is None else entry.row + 1)
        index.length += len(line)


def _is_sound(entry: Entry) -> bool:
    """Whether a line says either where pixels are, or why there are none."""
    if entry.row is None:
        return isinstance(entry.reason, str) and bool(entry.reason)
    return type(entry.row) is int and entry.row >= 0 and type(entry.crc32) is int


class Journal:
    """Adds to a cache; leaving the block saves what was added, for whatever reason it is left.

    Args:
        folder: The cache's, which is there.
        spec: The cache's.
        index: As read; grows with what is added.
    """

    def __init__(self, folder: Path, spec: CacheSpec, index: Index) -> None:
        self.index = index
        self._pixels = (folder / PIXELS_FILE).open("ab")
        self._file = (folder / INDEX_FILE).open("ab")
        sound = index.length and not index.fault
        self._file.truncate(index.length if sound else 0)
        # A faulty index is written anew: what it lost must not come back when the file of pixels has grown again.
        kept = [entry.line() for entry in index.entries.values()]
        self._unsaved = [] if sound else [json.dumps(spec.header).encode() + b"\n", *kept]
        self._saved = time.monotonic()

    def add(self, entry: Entry, *, lasting: bool = True) -> None:
        """Take note of an image whose pixels are written, or that was rejected; if not ``lasting``, for now only."""
        self.index.entries[entry.file] = entry
        if lasting:
            self._unsaved.append(entry.line())
        if time.monotonic() - self._saved > _SAVE_SECONDS:
            self.save()

    def save(self) -> None:
        """Have the pixels on the disk, then the lines about them."""
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
