"""Sorting of more entries of a folder than are kept in memory."""

import heapq
import os
from collections.abc import Iterable, Iterator
from itertools import islice
from tempfile import TemporaryFile
from typing import IO

CHUNK_SIZE = 50_000
"""Number of entries that are sorted in memory; more are merged from temporary files."""

NamedEntry = tuple[str, bool]
"""Name of an entry of a folder, and whether it is a folder."""


def sort_entries(entries: Iterable[NamedEntry], chunk_size: int = CHUNK_SIZE) -> Iterator[NamedEntry]:
    """Sort entries of a folder by their names, with no more than two chunks in memory.

    Args:
        entries: The entries; all are read before this returns.
        chunk_size: Number of entries in a chunk.

    Raises:
        OSError: If there are more than a chunk, and temporary files cannot be written.

    Example:
        >>> list(sort_entries([("b", False), ("c", True), ("a", False)], chunk_size=2))
        [('a', False), ('b', False), ('c', True)]
    """
    rest = iter(entries)
    chunk, following = sorted(islice(rest, chunk_size)), sorted(islice(rest, chunk_size))
    if not following:
        return iter(chunk)
    stored = []
    while chunk:
        stored.append(_store(chunk))
        chunk, following = following, sorted(islice(rest, chunk_size))
    return heapq.merge(*map(_load, stored))


def _store(chunk: list[NamedEntry]) -> IO[bytes]:
    """Write entries to a temporary file, a line each; no name holds a slash, which stands for a line end."""
    file = TemporaryFile()  # noqa: SIM115  # its reader closes it
    file.writelines(b"%d%s\n" % (is_folder, os.fsencode(name).replace(b"\n", b"/")) for name, is_folder in chunk)
    return file


def _load(file: IO[bytes]) -> Iterator[NamedEntry]:
    with file:
        file.seek(0)
        for line in file:
            yield os.fsdecode(line[1:-1].replace(b"/", b"\n")), line[:1] == b"1"
