"""What a caller wants of a cache, beside what its index says: what is missing, changed, damaged or rejected."""

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from cxr_lightning.data.cache.pixels import find_damaged
from cxr_lightning.data.cache.store import CacheSpec, Index
from cxr_lightning.imaging.decoded_image import ImageRejectedError
from cxr_lightning.imaging.reader import BadImagePolicy

_SAMPLE = 8
"""At most so many images' checksums are compared before a cache is used."""

State = dict[str, tuple[int, int]]
"""Size and modification time of each file."""

_UNKNOWN = (-1, -1)
"""State of a file that cannot be looked at."""


@dataclass(frozen=True)
class Wish:
    """What a caller of :func:`prepare` asks for, and where."""

    folder: Path
    spec: CacheSpec
    state: State
    on_bad_image: BadImagePolicy
    verify: bool


def rejected(wish: Wish, index: Index) -> dict[str, ImageRejectedError]:
    """Files that were looked at as they are on disk now, and cannot be used."""
    found = [
        entry
        for file, state in wish.state.items()
        if (entry := index.entries.get(file)) is not None
        and entry.row is None
        and (entry.size, entry.mtime_ns) == state
    ]
    return {
        entry.file: ImageRejectedError.of(wish.spec.root / entry.file, entry.reason, entry.remedy) for entry in found
    }


def states(root: Path, files: Sequence[str]) -> State:
    """Asks the disk, in several threads: over a network each answer takes its time."""

    def ask(part: Sequence[str]) -> list[tuple[int, int]]:
        return [_state(root / file) for file in part]

    parts = [files[start : start + 500] for start in range(0, len(files), 500)]
    with ThreadPoolExecutor(max_workers=16) as pool:
        return dict(zip(files, (state for part in pool.map(ask, parts) for state in part), strict=True))


def _state(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError:  # reading it will say why
        return _UNKNOWN
    return found.st_size, found.st_mtime_ns


def changed(wish: Wish, index: Index) -> list[str]:
    """Files that are not in the index as they are on disk now."""
    entries = index.entries
    return [
        file
        for file, state in wish.state.items()
        if (entry := entries.get(file)) is None or (entry.size, entry.mtime_ns) != state
    ]


def damaged(wish: Wish, index: Index) -> list[str]:
    """Files whose pixels are not what was written; all are compared if one of a few is."""
    there = [entry for file in wish.state if (entry := index.entries.get(file)) is not None and entry.row is not None]
    if not there:
        return []
    few = there[:: math.ceil(len(there) / _SAMPLE)]
    if not wish.verify and not find_damaged(wish.folder, few, wish.spec.image_size):
        return []
    return find_damaged(wish.folder, there, wish.spec.image_size)
