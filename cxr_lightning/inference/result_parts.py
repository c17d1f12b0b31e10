"""Results of several processes, each in a file of its own, and how they become one file in the order of the images."""

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from cxr_lightning.inference.results_file import MAX_RESULT_BYTES, ResultIndex
from cxr_lightning.utils.io import atomic_write_bytes
from cxr_lightning.utils.path_list import PathDigests, PathList
from cxr_lightning.utils.process_files import list_parts, next_start, part_path
from cxr_lightning.utils.regular_files import open_regular

_MAX_PARTS = 200
"""Maximum number of files that one start after another leaves, before they are merged: all are open at once."""


def limit_parts(folder: Path, paths: PathList) -> None:
    """Merge the files that many starts have left into one; no process may be writing to them."""
    parts = list_parts(folder)
    if len(parts) > _MAX_PARTS:
        merge_results(parts, paths, part_path(folder, next_start(folder), 0))
        for part in parts:
            part.unlink()


def merge_results(sources: Sequence[Path], paths: PathList, target: Path) -> None:
    """Write the newest result of each file in the order of the files; results of others come first.

    Args:
        sources: Files of results, the oldest first; ``target`` may be one of them.
        paths: The files.
        target: File to write.

    Raises:
        ValueError: If a source holds something else.
        OSError: If it cannot be written; what was there is kept.
    """
    index = ResultIndex()
    for source in sources:
        index.read(source)
    with ExitStack() as stack, atomic_write_bytes(target) as file:
        opened = [stack.enter_context(open_regular(source)) for source in sources]
        for number in _order(index, paths):
            file.write(_read_line(opened[index.sources[number]], index.offsets[number]))


def _order(index: ResultIndex, paths: PathList) -> Iterator[int]:
    """Numbers of the newest results, in the order of the files."""
    listed = PathDigests()
    for path in paths.texts():
        listed.append(path)
    newest = np.flatnonzero(index.newest())
    places = _places(index.digests.array[newest], listed.array)
    return iter(newest[np.argsort(places, kind="stable")].tolist())


def _places(digests: NDArray[np.bytes_], listed: NDArray[np.bytes_]) -> NDArray[np.intp]:
    """Where digests are in a list without duplicates; -1 for those that are not."""
    order = np.argsort(listed)
    if not len(listed):
        return np.full(len(digests), -1)
    candidates = order[np.searchsorted(listed, digests, sorter=order).clip(max=len(listed) - 1)]
    return np.where(listed[candidates] == digests, candidates, -1)


def _read_line(file: BinaryIO, offset: int) -> bytes:
    file.seek(offset, os.SEEK_SET)
    return file.readline(MAX_RESULT_BYTES)
