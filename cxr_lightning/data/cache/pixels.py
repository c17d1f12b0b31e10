"""Reads rows of a file of pixels, and compares them with their checksums."""

import mmap
import os
import weakref
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from cxr_lightning.data.cache.index_lines import IndexEntry
from cxr_lightning.data.cache.store import PIXELS_FILE, request_verification
from cxr_lightning.data.cache.verified_rows import VerifiedRows
from cxr_lightning.utils.regular_files import open_regular


@dataclass(frozen=True)
class RowChecksums:
    """What the rows of N images are compared with when they are first read in a run.

    Attributes:
        files: The image file of each row, ``N`` of them.
        crc32: ``(N,)`` uint32, checksum of each row's pixels.
        verified_rows: Which rows were compared already.
    """

    files: Sequence[str]
    crc32: NDArray[np.uint32]
    verified_rows: VerifiedRows


class ImageMap:
    """Some rows of a file of pixels, mapped into memory when first read; may be sent to other processes.

    A row's first reading is through the file system, which reports a disk's errors, and is compared with its checksum.

    Args:
        path: The file.
        rows: ``(N,)``, the row of each image.
        image_size: Side in pixels, S.
        identity: From :func:`file_identity` when the rows were looked up; None accepts any file.
        checksums: Checksums of the rows; None to compare nothing.
    """

    def __init__(
        self,
        path: Path,
        rows: Sequence[int] | NDArray[np.int64],
        image_size: int,
        identity: tuple[int, int] | None = None,
        checksums: RowChecksums | None = None,
    ) -> None:
        self.path = path
        self.identity = identity
        self.image_size = image_size
        self._rows = np.asarray(rows, dtype=np.int64)
        self._checksums = checksums
        self._left = 0
        self._mapped: _MappedFile | None = None

    def __len__(self) -> int:
        return len(self._rows)

    def read(self, indices: Sequence[int]) -> NDArray[np.uint8]:
        """Copy images out of the map by their numbers.

        Returns:
            ``(B, S, S)`` uint8.

        Raises:
            OSError: If rows differ from their checksums, or the file was cut off, replaced or cannot be read.
        """
        try:
            if self._mapped is None:
                num_rows = int(self._rows.max(initial=-1)) + 1
                self._mapped = _MappedFile(self.path, num_rows, self.image_size, self.identity)
            self._mapped.check_length()
            rows = self._rows[indices]
            if self._checksums is not None:
                self._verify(self._mapped, self._checksums, indices, rows)
            return self._mapped.pixels.take(rows, axis=0)  # a tenth quicker than indexing
        except OSError as error:
            if error.errno is None:  # with a message that is complete
                raise
            raise OSError(
                f"Expected to read prepared images from '{self.path}' but got: {error.strerror}. Check its disk; "
                "without that file, a new start prepares the images again."
            ) from error

    def _verify(
        self, mapped: "_MappedFile", checksums: RowChecksums, indices: Sequence[int], rows: NDArray[np.int64]
    ) -> None:
        """Compare the rows that are new with their checksums."""
        verified, size = checksums.verified_rows.mask, self.image_size**2
        new = np.flatnonzero(~verified[rows]).tolist()
        if not new and self._all_compared(verified):
            self._checksums = None
        damaged = []
        for position in new:
            found = zlib.crc32(mapped.read(rows[position] * size, size))
            if found == checksums.crc32[indices[position]]:
                verified[rows[position]] = True
            else:
                damaged.append((position, found))
        if damaged:
            position, found = damaged[0]
            number = indices[position]
            row = f"row {rows[position]:,} ({checksums.files[number]!r})"
            raise OSError(
                f"Expected the prepared images in '{self.path}' as they were written but {len(damaged):,} of "
                f"{len(rows):,} that were read have changed: {row} has checksum {found:08x}, not "
                f"{checksums.crc32[number]:08x}. {_repair(self.path.parent)}"
            )

    def _all_compared(self, verified: NDArray[np.bool_]) -> bool:
        """Whether nothing is left to compare; looks at one image that was left, and at all only once it is compared."""
        if not verified[self._rows[self._left]]:
            return False
        left = ~verified[self._rows]
        self._left = int(left.argmax())
        return not left.any()

    def __getstate__(self) -> dict[str, Any]:
        """Leave the map out: each process makes its own."""
        return {**self.__dict__, "_mapped": None}


class _MappedFile:
    """The first rows of a file, mapped into memory. Its length is checked, since reading beyond its end is fatal."""

    def __init__(self, path: Path, num_rows: int, image_size: int, identity: tuple[int, int] | None) -> None:
        self.path, self.num_bytes = path, num_rows * image_size**2
        try:
            file = open_regular(path)
        except OSError as error:
            raise self._replaced(error.strerror or str(error)) from error
        weakref.finalize(self, file.close)
        self.descriptor = file.fileno()
        if identity is not None and _identity(os.fstat(self.descriptor)) != identity:
            raise self._replaced("it is another file")
        self.check_length()
        mapped = mmap.mmap(self.descriptor, self.num_bytes, access=mmap.ACCESS_READ)
        self.pixels = np.frombuffer(mapped, dtype=np.uint8).reshape(num_rows, image_size, image_size)

    def _replaced(self, reason: str) -> OSError:
        return OSError(
            f"Expected the prepared images in '{self.path}' that the run began with but the file was replaced "
            f"({reason}). Start it again."
        )

    def check_length(self) -> None:
        """Check that the file still has all bytes of the map."""
        # Quicker than fstat; the position that it sets, which forked processes share, is not used by pread.
        length = os.lseek(self.descriptor, 0, os.SEEK_END)
        if length < self.num_bytes:
            raise OSError(
                f"Expected at least {self.num_bytes:,} bytes of prepared images in '{self.path}' but the file was cut "
                f"off and has {length:,}. Start again: that prepares the missing images."
            )

    def read(self, start: int, num_bytes: int) -> bytes:
        """Read a part of the file without the map."""
        if hasattr(os, "pread"):
            content = os.pread(self.descriptor, num_bytes, start)
        else:  # on Windows, where no process shares the descriptor and its position with another
            os.lseek(self.descriptor, start, os.SEEK_SET)
            content = os.read(self.descriptor, num_bytes)
        if len(content) < num_bytes:
            self.check_length()
        return content


def _repair(folder: Path) -> str:
    if request_verification(folder):
        return "Start again, or run cxr prepare --verify: both prepare these images again."
    return f"Run cxr prepare --verify where '{folder}' may be written to: it prepares these images again."


def file_identity(path: Path) -> tuple[int, int]:
    """Device and inode of a file, which differ for another file that takes its name."""
    return _identity(path.stat())


def _identity(state: os.stat_result) -> tuple[int, int]:
    return state.st_dev, state.st_ino


def find_corrupted(folder: Path, entries: Iterable[IndexEntry], image_size: int) -> list[str]:
    """Image files whose prepared pixels differ from their checksum."""
    with open_regular(folder / PIXELS_FILE) as file:
        return [entry.file for entry in entries if _crc32(file, entry, image_size) != entry.crc32]


def _crc32(file: BinaryIO, entry: IndexEntry, image_size: int) -> int:
    assert entry.row is not None
    file.seek(entry.row * image_size**2)
    return zlib.crc32(file.read(image_size**2))
