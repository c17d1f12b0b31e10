"""Brings a cache up to date: finds what is missing in it, and has that decoded."""

import csv
import logging
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from cxr_lightning.data.cache.decode import Answer, decode
from cxr_lightning.data.cache.pixels import ImageMap, identity
from cxr_lightning.data.cache.request import Wish, changed, damaged, rejected, states
from cxr_lightning.data.cache.store import PIXELS_FILE, CacheSpec, Entry, Index, Journal, read_index
from cxr_lightning.imaging.decoded_image import ImageRejectedError
from cxr_lightning.imaging.reader import BadImagePolicy, refusal
from cxr_lightning.imaging.signatures import find_broken
from cxr_lightning.utils.progress import progress_bar
from cxr_lightning.utils.subprocesses import check_workers, usable_cores

REJECTED_FILE = "rejected.csv"
_LOCK_FILE = ".lock"
_SPARE_BYTES = 100_000_000
"""To be left free on the disk beside the pixels."""
_REMEDY = (
    "Free disk space, set `paths.cache_dir` (cxr prepare: --cache-dir) to a place that you may write to, or prepare "
    "nothing: data.cache=false (evaluate.py: cache=false)."
)
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Prepared:
    """Images of a data set that are ready to be read.

    Attributes:
        folder: The cache.
        image_size: Side in pixels, S.
        rows: Row in the file of pixels, by image file relative to the data set's folder.
        rejected: Images that cannot be used, by image file.
        made: Number of images that were decoded just now.
        identity: Of the file of pixels; None if there is none.
    """

    folder: Path
    image_size: int
    rows: dict[str, int]
    rejected: dict[str, ImageRejectedError]
    made: int = 0
    identity: tuple[int, int] | None = None

    def images(self, files: Sequence[str]) -> ImageMap:
        """Some of the images, in this order."""
        return ImageMap(self.folder / PIXELS_FILE, [self.rows[file] for file in files], self.image_size, self.identity)


def prepare(
    files: Sequence[str],
    spec: CacheSpec,
    cache_dir: Path,
    *,
    on_bad_image: BadImagePolicy = "error",
    workers: int | None = None,
    progress: bool = True,
    verify: bool = False,
) -> Prepared:
    """Decode and resize images once.

    What is there already, from the same files, is kept; an interrupted run is continued. Of several processes that
    want the same cache one works and the others wait. Images that cannot be used are listed in ``rejected.csv``.

    Args:
        files: Images relative to ``spec.root``.
        spec: The data set's folder, and the pixels that are wanted.
        cache_dir: Where caches are kept; made if missing.
        on_bad_image: ``error``: stop if an image cannot be used; ``skip``: only say so.
        workers: Processes; None for one per usable core, 1 for this process only.
        progress: Whether to show how far it is.
        verify: Compare all pixels with their checksums, not only a few.

    Raises:
        ValueError: If the disk is too small, or images cannot be used with ``on_bad_image="error"``.
        OSError: If the folder cannot be read and written, or a process was ended from outside (ChildProcessError).
        RuntimeError: If a process fails.
    """
    workers = usable_cores() if workers is None else check_workers(workers)
    wish = Wish(cache_dir / spec.folder_name, spec, states(spec.root, files), on_bad_image, verify)
    with _explained(wish.folder):
        return _prepare(wish, workers, progress)


def _prepare(wish: Wish, workers: int, progress: bool) -> Prepared:
    spec = wish.spec
    index = read_index(wish.folder, spec)
    made = 0
    if wish.on_bad_image == "error" and (known := rejected(wish, index)):
        raise refusal(list(known.values()), wish.folder / REJECTED_FILE)
    if changed(wish, index) or damaged(wish, index):
        with _locked(wish.folder):
            index = read_index(wish.folder, spec)
            made = _bring_up_to_date(wish, index, workers, progress)
    bad = rejected(wish, index)
    if bad and wish.on_bad_image == "error":
        raise refusal(list(bad.values()), wish.folder / REJECTED_FILE)
    entries = [index.entries[file] for file in wish.state]
    rows = {entry.file: entry.row for entry in entries if entry.row is not None}
    pixels = identity(wish.folder / PIXELS_FILE) if rows else None
    return Prepared(wish.folder, spec.image_size, rows, bad, made, pixels)


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    """Says what the system's own errors (disk full, no permission, a folder in a file's place) were about."""
    try:
        yield
    except OSError as error:
        if error.errno is None:  # one of ours
            raise
        raise OSError(f"Expected to keep prepared images in '{folder}' but got: {error}. {_REMEDY}") from error


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Alone in the folder."""
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


def _bring_up_to_date(wish: Wish, index: Index, workers: int, progress: bool) -> int:
    """Add to the cache what is missing in it; returns the number of images that were decoded."""
    folder, size = wish.folder, wish.spec.image_size
    renewed, spoilt = changed(wish, index), damaged(wish, index)
    wanted = list(dict.fromkeys([*renewed, *spoilt]))
    if not wanted:  # another process was quicker
        return 0
    for reason in _reasons(wish, index, renewed, spoilt):
        logger.warning("%s", reason)
    _check_space(folder, len(wanted) * size**2)
    logger.info("preparing %s images of %d px in '%s'", f"{len(wanted):,}", size, folder)
    files = {wish.spec.root / file: file for file in wanted}
    # A look at the first and last bytes takes seconds; decoding all may take an hour.
    broken = {files[Path(rejection.path)]: rejection for rejection in find_broken(list(files))}
    whole = [] if broken and wish.on_bad_image == "error" else [file for file in wanted if file not in broken]
    try:
        with Journal(folder, wish.spec, index) as journal:
            for file, rejection in broken.items():
                entry = Entry(file, *wish.state[file], reason=rejection.reason, remedy=rejection.remedy)
                journal.add(entry, lasting=rejection.lasting)
            _decode(wish, whole, journal, workers, progress)
    finally:
        _write_rejected(wish, index)
    return len(whole)


def _decode(wish: Wish, files: Sequence[str], journal: Journal, workers: int, progress: bool) -> None:
    spec, first = wish.spec, journal.index.rows
    images = [(spec.root / file, row) for row, file in enumerate(files, start=first)]
    with progress_bar("Preparing images", len(files), shown=progress) as advance:

        def done(answer: Answer) -> None:
            row, lasting = answer.pop("row"), answer.pop("lasting", True)
            file = files[row - first]
            entry = Entry(file, *wish.state[file], row=row if "crc32" in answer else None, **answer)
            journal.add(entry, lasting=lasting)
            advance()

        pixels = wish.folder / PIXELS_FILE
        decode(images, pixels, spec.image_size, spec.interpolation, workers=workers, done=done)


def _reasons(wish: Wish, index: Index, renewed: Sequence[str], spoilt: Sequence[str]) -> list[str]:
    """Why what was prepared before is not used."""
    reasons = []
    if index.fault:
        reasons.append(f"the prepared images in '{wish.folder}' cannot all be used: {index.fault}")
    if again := [file for file in renewed if file in index.entries]:
        reasons.append(f"{len(again):,} image files have changed since they were prepared, first '{again[0]}'")
    if spoilt:
        reasons.append(
            f"{len(spoilt):,} images in '{wish.folder}' have changed since they were written, first '{spoilt[0]}'"
        )
    if not index.entries and (others := wish.spec.others(wish.folder.parent)):
        reasons.append(f"images prepared by another version are not used: '{others[0]}'; it may be deleted")
    return reasons


def _check_space(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed + _SPARE_BYTES > free:
        raise ValueError(
            f"Expected {needed / 1e9:.1f} GB to be free for prepared images in '{folder}' but there are "
            f"{max(0, free - _SPARE_BYTES) / 1e9:.1f} GB. {_REMEDY}"
        )


def _write_rejected(wish: Wish, index: Index) -> None:
    """List all images of the cache that cannot be used, those that are gone aside; no list if there are none."""
    path = wish.folder / REJECTED_FILE
    bad = [entry for entry in index.entries.values() if entry.row is None]
    there = [entry for entry in bad if entry.file in wish.state or (wish.spec.root / entry.file).exists()]
    listed = sorted(there, key=lambda entry: entry.file)
    if not listed:
        path.unlink(missing_ok=True)
        return
    unfinished = path.with_suffix(".tmp")
    with unfinished.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("image", "reason", "remedy"))
        writer.writerows((entry.file, entry.reason, entry.remedy) for entry in listed)
    unfinished.replace(path)
