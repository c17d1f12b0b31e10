"""Decodes the images that are missing in a cache, and adds them to its index."""

from collections.abc import Callable, Sequence

from cxr_lightning.data.cache.decode import DecodeResult, decode_images
from cxr_lightning.data.cache.index_lines import IndexEntry
from cxr_lightning.data.cache.request import CacheRequest
from cxr_lightning.data.cache.store import PIXELS_FILE, CacheWriter
from cxr_lightning.utils.progress import progress_bar

Decoding = Callable[[CacheRequest, Sequence[str], CacheWriter, int, bool], object]
"""Decodes image files of a request into the rows after those of a writer, and adds them; takes the maximum number of
processes, and whether progress is shown."""


def decode_missing(
    request: CacheRequest, files: Sequence[str], writer: CacheWriter, workers: int, progress: bool
) -> None:
    """Decode image files into the rows after those of a writer, and add them to its index.

    Args:
        request: The request.
        files: Image files relative to the data set's folder.
        writer: Adds to the cache.
        workers: Maximum number of processes.
        progress: Whether to show a progress bar.
    """
    first = writer.index.next_row
    decode_rows(
        request, [(file, row) for row, file in enumerate(files, start=first)], writer.add, workers, progress=progress
    )


def decode_rows(
    request: CacheRequest,
    rows: Sequence[tuple[str, int]],
    add: Callable[..., object],
    workers: int,
    *,
    progress: bool,
) -> None:
    """Decode image files into given rows.

    Args:
        request: The request.
        rows: Image files relative to the data set's folder, and the row of each.
        add: Called with the entry of each, and whether it is ``permanent``.
        workers: Maximum number of processes.
        progress: Whether to show a progress bar.
    """
    spec, files = request.spec, {row: file for file, row in rows}
    with progress_bar("Preparing images", len(rows), shown=progress) as advance:

        def on_result(result: DecodeResult) -> None:
            row, permanent = result.pop("row"), result.pop("permanent", True)
            flags = tuple(tuple(flag) for flag in result.pop("flags", ()))
            position = row if "crc32" in result else None
            entry = IndexEntry(files[row], *request.states[files[row]], row=position, flags=flags, **result)
            add(entry, permanent=permanent)
            advance()

        decode_images(
            [(spec.root / file, row) for file, row in rows],
            request.folder / PIXELS_FILE,
            spec.image_size,
            spec.interpolation,
            force=spec.force,
            workers=workers,
            on_result=on_result,
        )
