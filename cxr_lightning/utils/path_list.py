"""Lists of very many paths: compressed, in a temporary file where they are many, and compared by 128 bits of a hash."""

import os
import weakref
import zlib
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from tempfile import SpooledTemporaryFile

import numpy as np
from numpy.typing import NDArray

_BLOCK_PATHS = 5000
"""Number of paths that are compressed together."""
_MAX_BYTES_IN_MEMORY = 1_000_000
DIGEST_BYTES = 16
"""Length of :func:`path_digest`: two of a billion paths have the same one with a probability below 1e-20."""


class PathList:
    """Paths in their order, of which only a block is in memory as such; may be iterated several times.

    Raises:
        OSError: While adding, if there are many paths and temporary files cannot be written.
    """

    def __init__(self) -> None:
        self._file = SpooledTemporaryFile(_MAX_BYTES_IN_MEMORY)  # noqa: SIM115  # it lives as long as the list
        weakref.finalize(self, self._file.close)
        self._blocks: list[tuple[int, int]] = []
        self._open: list[bytes] = []
        self._length = 0
        self._hash = blake2b(digest_size=DIGEST_BYTES)

    def append(self, path: str) -> None:
        """Add a path at the end."""
        # No path holds a zero byte, which stands for a line end.
        self._open.append(os.fsencode(path).replace(b"\n", b"\0"))
        self._length += 1
        if len(self._open) == _BLOCK_PATHS:
            self._close_block()

    def _close_block(self) -> None:
        content = b"\n".join(self._open)
        self._hash.update(content + b"\n")
        start = self._file.seek(0, os.SEEK_END)
        self._blocks.append((start, self._file.write(zlib.compress(content, 1))))
        self._open = []

    @property
    def digest(self) -> str:
        """Hash of all paths in their order."""
        rest = self._hash.copy()
        rest.update(b"".join(path + b"\n" for path in self._open))
        return rest.hexdigest()

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Path]:
        return map(Path, self.texts())

    def texts(self) -> Iterator[str]:
        """The paths as texts."""
        for start, length in self._blocks:
            self._file.seek(start)
            yield from map(_decode, zlib.decompress(self._file.read(length)).split(b"\n"))
        yield from map(_decode, self._open)


def _decode(line: bytes) -> str:
    return os.fsdecode(line.replace(b"\0", b"\n"))


def path_digest(path: str | Path) -> bytes:
    """Hash of a path by which files are compared: of the normalized absolute path; links are not resolved."""
    absolute = os.path.abspath(path)  # noqa: PTH100  # normalizes, without resolving links
    return blake2b(os.fsencode(absolute), digest_size=DIGEST_BYTES).digest()


class PathDigests:
    """Digests of paths in their order, 16 bytes each."""

    def __init__(self) -> None:
        self._content = bytearray()

    def append(self, path: str | Path) -> None:
        """Add the digest of a path at the end."""
        self._content += path_digest(path)

    def __len__(self) -> int:
        return len(self._content) // DIGEST_BYTES

    @property
    def array(self) -> NDArray[np.bytes_]:
        """All digests, ``(N,)``."""
        return np.frombuffer(bytes(self._content), dtype=f"S{DIGEST_BYTES}")


def is_first(digests: NDArray[np.bytes_]) -> NDArray[np.bool_]:
    """Which digests occur for the first time, ``(N,)``.

    Example:
        >>> is_first(np.array([b"b", b"a", b"b"]))
        array([ True,  True, False])
    """
    first = np.zeros(len(digests), dtype=np.bool_)
    first[np.unique(digests, return_index=True)[1]] = True
    return first


def is_last(digests: NDArray[np.bytes_]) -> NDArray[np.bool_]:
    """Which digests do not occur again, ``(N,)``.

    Example:
        >>> is_last(np.array([b"b", b"a", b"b"]))
        array([False,  True,  True])
    """
    return is_first(digests[::-1])[::-1]
