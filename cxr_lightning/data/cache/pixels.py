"""Reads rows of a file of pixels, and compares them with their checksums."""

import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from cxr_lightning.data.cache.store import PIXELS_FILE, IndexEntry


class ImageMap:
    """Some rows of a file of pixels, mapped into memory when first read; may be sent to other processes.

    Args:
        path: The file.
        rows: ``(N,)``, the row of each image.
        image_size: Side in pixels, S.
        identity: From :func:`file_identity` when the rows were looked up; None accepts any file.
    """

    def __init__(
        self,
        path: Path,
        rows: Sequence[int] | NDArray[np.int64],
        image_size: int,
        identity: tuple[int, int] | None = None,
    ) -> None:
        self.path = path
        self.identity = identity
        self.image_size = image_size
        self._rows = np.asarray(rows, dtype=np.int64)
        self._pixels: NDArray[np.uint8] | None = None

    def __len__(self) -> int:
        return len(self._rows)

    def read(self, indices: Sequence[int]) -> NDArray[np.uint8]:
        """Copy images out of the map by their numbers.

        Returns:
            ``(B, S, S)`` uint8.
        """
        if self._pixels is None:
            if self.identity is not None and file_identity(self.path) != self.identity:
                raise OSError(f"Expected the prepared images in '{self.path}' that the run began with. Start it again.")
            shape = (int(self._rows.max()) + 1, self.image_size, self.image_size)
            self._pixels = np.memmap(self.path, dtype=np.uint8, mode="r", shape=shape).view(np.ndarray)
        return self._pixels[self._rows[indices]]

    def __getstate__(self) -> dict[str, Any]:
        """Leave the map out: each process makes its own."""
        return {**self.__dict__, "_pixels": None}


def file_identity(path: Path) -> tuple[int, int]:
    """Device and inode of a file, which differ for another file that takes its name."""
    state = path.stat()
    return state.st_dev, state.st_ino


def find_corrupted(folder: Path, entries: Iterable[IndexEntry], image_size: int) -> list[str]:
    """Image files whose prepared pixels differ from their checksum."""
    with (folder / PIXELS_FILE).open("rb") as file:
        return [entry.file for entry in entries if _crc32(file, entry, image_size) != entry.crc32]


def _crc32(file: BinaryIO, entry: IndexEntry, image_size: int) -> int:
    assert entry.row is not None
    file.seek(entry.row * image_size**2)
    return zlib.crc32(file.read(image_size**2))
