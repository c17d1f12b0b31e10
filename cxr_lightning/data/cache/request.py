"""A caller's request beside the cache's index: which images are stale, corrupted or rejected."""

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from cxr_lightning.data.cache.pixels import find_corrupted
from cxr_lightning.data.cache.store import CacheIndex, CacheSpec
from cxr_lightning.imaging.decoded_image import ImageRejectedError
from cxr_lightning.imaging.reader import BadImagePolicy

_MAX_CHECKED = 8
"""Maximum number of images whose checksums are compared before a cache is used."""

FileStates = dict[str, tuple[int, int]]
"""Size in bytes and modification time in nanoseconds of each image file."""

_INACCESSIBLE = (-1, -1)
"""State of a file that the system does not let us look at."""


@dataclass(frozen=True)
class CacheRequest:
    """The images that a caller of :func:`~cxr_lightning.data.cache.prepare_images` requests.

    Attributes:
        folder: The cache's folder.
        spec: What decides the pixels.
        states: The requested image files, as they are on disk now.
        on_bad_image: ``error`` or ``skip``.
        verify: Compare all pixels with their checksums.
        requested: When a run that found damaged pixels has requested that, before this one began; None if none did.
    """

    folder: Path
    spec: CacheSpec
    states: FileStates
    on_bad_image: BadImagePolicy
    verify: bool
    requested: int | None = None


def rejected_files(request: CacheRequest, index: CacheIndex) -> dict[str, ImageRejectedError]:
    """Requested files that were read in their present state and cannot be used."""
    entries = [
        entry
        for file, state in request.states.items()
        if (entry := index.entries.get(file)) is not None
        and entry.row is None
        and (entry.size, entry.mtime_ns) == state
    ]
    return {
        entry.file: ImageRejectedError.from_reason(request.spec.root / entry.file, entry.reason, entry.remedy)
        for entry in entries
    }


def read_states(root: Path, files: Sequence[str]) -> FileStates:
    """Read size and modification time of files, in several threads: over a network each answer takes its time."""

    def read_part(part: Sequence[str]) -> list[tuple[int, int]]:
        return [_state(root / file) for file in part]

    parts = [files[start : start + 500] for start in range(0, len(files), 500)]
    with ThreadPoolExecutor(max_workers=16) as pool:
        return dict(zip(files, (state for part in pool.map(read_part, parts) for state in part), strict=True))


def _state(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError:  # reading the file will give the reason
        return _INACCESSIBLE
    return found.st_size, found.st_mtime_ns


def stale_files(request: CacheRequest, index: CacheIndex) -> list[str]:
    """Requested files that are not in the index, or have changed since they were prepared."""
    entries = index.entries
    return [
        file
        for file, state in request.states.items()
        if (entry := entries.get(file)) is None or (entry.size, entry.mtime_ns) != state
    ]


def corrupted_files(request: CacheRequest, index: CacheIndex) -> list[str]:
    """Requested files whose prepared pixels differ from their checksums; all are compared if one of a few differs."""
    entries = [
        entry for file in request.states if (entry := index.entries.get(file)) is not None and entry.row is not None
    ]
    if not entries:
        return []
    few = entries[:: math.ceil(len(entries) / _MAX_CHECKED)]
    if not request.verify and not find_corrupted(request.folder, few, request.spec.image_size):
        return []
    return find_corrupted(request.folder, entries, request.spec.image_size)


def other_corrupted_files(request: CacheRequest, index: CacheIndex) -> list[str]:
    """Image files of the same cache that were not requested, still exist, and whose prepared pixels are damaged."""
    entries = [entry for entry in index.entries.values() if entry.row is not None and entry.file not in request.states]
    damaged = find_corrupted(request.folder, entries, request.spec.image_size) if entries else []
    return [file for file in damaged if (request.spec.root / file).exists()]
