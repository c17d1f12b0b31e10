"""Parts of a cache's index, which several processes have written, and how they become one."""

from collections.abc import Iterator
from pathlib import Path

from cxr_lightning.data.cache.index_lines import IndexEntry
from cxr_lightning.data.cache.store import PIXELS_FILE, CacheSpec, CacheWriter, read_index, read_part_of_index
from cxr_lightning.utils.process_files import PROCESSES_FOLDER, list_parts, remove_files


def merge_parts(folder: Path, spec: CacheSpec) -> None:
    """Add to a cache's index what processes have left that were killed; the caller holds the cache's lock.

    Args:
        folder: The cache's folder.
        spec: Settings of the cache.
    """
    processes = folder / PROCESSES_FOLDER
    if not list_parts(processes):
        remove_files(processes)
        return
    index = read_index(folder, spec)
    complete = (folder / PIXELS_FILE).stat().st_size // spec.image_size**2
    used = {entry.row for entry in index.entries.values()}
    with CacheWriter(folder, spec, index) as writer:
        for entry in sorted(read_parts(processes, spec), key=lambda entry: (entry.row is None, entry.row or 0)):
            if entry.row is not None and (entry.row >= complete or entry.row in used):
                continue
            used.add(entry.row)
            writer.add(entry)
    remove_files(processes)


def read_parts(processes: Path, spec: CacheSpec) -> Iterator[IndexEntry]:
    """Entries of all parts, as far as they are valid."""
    for path in list_parts(processes):
        yield from read_part_of_index(path, spec).entries.values()
