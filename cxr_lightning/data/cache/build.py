"""Brings a cache up to date: finds the images that are missing in it, and has them decoded."""

import logging
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from cxr_lightning.data.cache.image_lists import REJECTED_FILE, write_image_lists
from cxr_lightning.data.cache.index_lines import IndexEntry
from cxr_lightning.data.cache.index_parts import merge_parts
from cxr_lightning.data.cache.lookup import collect_prepared
from cxr_lightning.data.cache.missing_images import Decoding, decode_missing
from cxr_lightning.data.cache.prepared_images import PreparedImages
from cxr_lightning.data.cache.request import (
    CacheRequest,
    corrupted_files,
    other_corrupted_files,
    read_states,
    rejected_files,
    stale_files,
)
from cxr_lightning.data.cache.store import (
    CacheIndex,
    CacheSpec,
    CacheWriter,
    read_index,
    requested_verification,
    withdraw_verification,
)
from cxr_lightning.imaging.decoded_image import ImageRejectedError
from cxr_lightning.imaging.reader import BadImagePolicy, RejectedImagesError
from cxr_lightning.imaging.signatures import find_unreadable
from cxr_lightning.utils.subprocesses import check_workers, usable_cores

_LOCK_FILE = ".lock"
_MIN_FREE_BYTES = 100_000_000
"""Disk space that must stay free beside the pixels."""
_REMEDY = (
    "Free disk space, set `paths.cache_dir` (cxr prepare: --cache-dir) to a place that you may write to, or prepare "
    "nothing: data.cache=false (evaluate.py: cache=false)."
)
logger = logging.getLogger(__name__)


def prepare_images(
    files: Sequence[str],
    spec: CacheSpec,
    cache_dir: Path,
    *,
    on_bad_image: BadImagePolicy = "error",
    workers: int | None = None,
    progress: bool = True,
    verify: bool = False,
    decode: Decoding | None = None,
) -> PreparedImages:
    """Decode and resize images once.

    Images that are prepared already, from the same files, are kept; an interrupted run is resumed. Of several
    processes that request the same cache one works and the others wait. Images that cannot be used are listed in
    ``rejected.csv``, and those with quality flags in ``quality_flags.csv``.

    Args:
        files: Images relative to ``spec.root``.
        spec: The data set's folder, and what decides the pixels.
        cache_dir: Folder of all caches; made if missing.
        on_bad_image: ``error``: stop if an image cannot be used; ``skip``: only list it.
        workers: Number of processes; None for one per usable core, 1 for this process only.
        progress: Whether to show a progress bar.
        verify: Compare all pixels with their checksums, not only a few; done also after a run that found damaged ones.
        decode: Decodes the images that are missing; by default :func:`decode_missing`.

    Raises:
        ValueError: If the disk is too small, or images cannot be used with ``on_bad_image="error"``.
        OSError: If the folder cannot be read and written, or a process was ended from outside (ChildProcessError).
        RuntimeError: If a process fails.
    """
    workers = usable_cores() if workers is None else check_workers(workers)
    states = read_states(spec.root, files)
    folder = cache_dir / spec.folder_name
    requested = requested_verification(folder)
    request = CacheRequest(folder, spec, states, on_bad_image, verify or requested is not None, requested)
    with _explain_os_errors(folder):
        return _prepare(request, workers, progress, decode or decode_missing)


def _prepare(request: CacheRequest, workers: int, progress: bool, decode: Decoding) -> PreparedImages:
    index = read_index(request.folder, request.spec)
    num_decoded = 0
    _check_rejected(request, index)
    if stale_files(request, index) or corrupted_files(request, index):
        with _lock(request.folder):
            merge_parts(request.folder, request.spec)
            index = read_index(request.folder, request.spec)
            num_decoded = _update(request, index, workers, progress, decode)
    rejected = _check_rejected(request, index)
    if request.requested is not None:
        _finish_verification(request, index, request.requested)
    return collect_prepared(request, index, rejected, num_decoded)


def _finish_verification(request: CacheRequest, index: CacheIndex, requested: int) -> None:
    """Compare also the rows that this run does not read; the request for it ends if they are as they were written."""
    if others := other_corrupted_files(request, index):
        logger.warning(
            "%s images in '%s' that are not used here have changed since they were written, first '%s'; "
            "cxr prepare --verify prepares them again",
            f"{len(others):,}",
            request.folder,
            others[0],
        )
    else:
        withdraw_verification(request.folder, requested)


def _check_rejected(request: CacheRequest, index: CacheIndex) -> dict[str, ImageRejectedError]:
    """The rejected images, if the request allows them; else an error."""
    rejected = rejected_files(request, index)
    if rejected and request.on_bad_image == "error":
        listed_in = request.folder / REJECTED_FILE
        raise RejectedImagesError(list(rejected.values()), len(request.states), listed_in)
    return rejected


@contextmanager
def _explain_os_errors(folder: Path) -> Iterator[None]:
    """Add folder and remedy to the system's own errors (disk full, no permission, a folder in a file's place)."""
    try:
        yield
    except OSError as error:
        if error.errno is None:  # raised by this package, with a message that is complete
            raise
        raise OSError(f"Expected to keep prepared images in '{folder}' but got: {error}. {_REMEDY}") from error


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """Hold the folder's lock, waiting for another process if needed."""
    lock = FileLock(folder / _LOCK_FILE)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        logger.info("another process prepares images in '%s'; waiting for it", folder)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _update(request: CacheRequest, index: CacheIndex, workers: int, progress: bool, decode: Decoding) -> int:
    """Add to the cache the images that are missing in it; returns the number of images that were decoded."""
    folder, size = request.folder, request.spec.image_size
    stale, corrupted = stale_files(request, index), corrupted_files(request, index)
    missing = list(dict.fromkeys([*stale, *corrupted]))
    if not missing:  # another process was quicker
        return 0
    for reason in _reasons(request, index, stale, corrupted):
        logger.warning("%s", reason)
    _check_free_space(folder, len(missing) * size**2)
    logger.info("preparing %s images of %d px in '%s'", f"{len(missing):,}", size, folder)
    files = {request.spec.root / file: file for file in missing}
    # A look at the first and last bytes takes seconds; decoding all may take an hour.
    unreadable = {files[Path(rejection.path)]: rejection for rejection in find_unreadable(list(files))}
    stop = unreadable and request.on_bad_image == "error"
    readable = [] if stop else [file for file in missing if file not in unreadable]
    try:
        with CacheWriter(folder, request.spec, index) as writer:
            for file, rejection in unreadable.items():
                entry = IndexEntry(file, *request.states[file], reason=rejection.reason, remedy=rejection.remedy)
                writer.add(entry, permanent=rejection.permanent)
            decode(request, readable, writer, workers, progress)
    finally:
        write_image_lists(request, index)
    return len(readable)


def _reasons(request: CacheRequest, index: CacheIndex, stale: Sequence[str], corrupted: Sequence[str]) -> list[str]:
    """Why images that were prepared before are not used."""
    folder = request.folder
    reasons = []
    if index.error:
        reasons.append(f"the prepared images in '{folder}' cannot all be used: {index.error}")
    if modified := [file for file in stale if file in index.entries]:
        reasons.append(f"{len(modified):,} image files have changed since they were prepared, first '{modified[0]}'")
    if corrupted:
        reasons.append(
            f"{len(corrupted):,} images in '{folder}' have changed since they were written, first '{corrupted[0]}'"
        )
    if not index.entries and (others := request.spec.other_versions(folder.parent)):
        reasons.append(f"images prepared by another version are not used: '{others[0]}'; it may be deleted")
    return reasons


def _format_bytes(number: int) -> str:
    return f"{number / 1e9:.1f} GB" if number >= 1e9 else f"{number / 1e6:.1f} MB"


def _check_free_space(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed + _MIN_FREE_BYTES > free:
        raise ValueError(
            f"Expected {_format_bytes(needed + _MIN_FREE_BYTES)} to be free, with prepared images of "
            f"{_format_bytes(needed)} in '{folder}', but there are {_format_bytes(free)}. {_REMEDY}"
        )
