"""Lists of a cache's images for people to look at: those that cannot be used, and those with quality flags."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from cxr_lightning.data.cache.index_lines import IndexEntry
from cxr_lightning.data.cache.request import CacheRequest
from cxr_lightning.data.cache.store import CacheIndex
from cxr_lightning.imaging.decoded_image import QualityFlag
from cxr_lightning.utils.csv_files import TableWriter
from cxr_lightning.utils.io import atomic_write_text

REJECTED_FILE, FLAGS_FILE = "rejected.csv", "quality_flags.csv"


def write_image_lists(request: CacheRequest, index: CacheIndex) -> None:
    """Write both lists about all images of the cache, without those that no longer exist; none that would be empty."""
    listed = sorted(
        (entry for entry in index.entries.values() if (entry.row is None or entry.flags) and _exists(entry, request)),
        key=lambda entry: entry.file,
    )
    rejected = ((entry.file, entry.reason, entry.remedy) for entry in listed if entry.row is None)
    _write_list(request.folder / REJECTED_FILE, ("image", "reason", "remedy"), rejected)
    flags = ((entry.file, flag.code, flag.message) for entry in listed for flag in entry.quality_flags)
    _write_list(request.folder / FLAGS_FILE, ("image", "flag", "message"), flags)


def describe_flags(flags: Mapping[str, Sequence[QualityFlag]], total: int, listed_in: Path) -> str:
    """How many images have quality flags, and how often each flag occurs, as a clause.

    Args:
        flags: The flags of each image that has any.
        total: Number of images.
        listed_in: The file that lists them.

    Example:
        >>> describe_flags({"a.png": [QualityFlag("tiny", "it has 9x9 pixels")]}, 1000, Path("quality_flags.csv"))
        "1 of 1,000 images have quality flags: tiny 1; listed in 'quality_flags.csv'"
    """
    counts = Counter(flag.code for image in flags.values() for flag in image)
    kinds = ", ".join(f"{code} {count:,}" for code, count in sorted(counts.items(), key=lambda item: (-item[1], item)))
    return f"{len(flags):,} of {total:,} images have quality flags: {kinds}; listed in '{listed_in}'"


def _exists(entry: IndexEntry, request: CacheRequest) -> bool:
    return entry.file in request.states or (request.spec.root / entry.file).exists()


def _write_list(path: Path, header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> None:
    table = list(rows)
    if not table:
        path.unlink(missing_ok=True)
        return
    with atomic_write_text(path) as file:
        TableWriter(file).writerows([header, *table])
