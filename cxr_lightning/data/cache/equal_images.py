"""Prepared images whose pixels are equal: the same picture under several names."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from cxr_lightning.data.cache.pixels import ImageMap
from cxr_lightning.data.cache.prepared_images import PreparedImages

_BLANK_FLAGS = frozenset({"nearly_blank", "scaled_to_1"})
"""Quality flags of images that are equal by what they lack: they carry no identity."""


def find_equal_images(prepared: PreparedImages) -> list[tuple[str, ...]]:
    """Groups of image files whose prepared pixels are equal; blank images are in none.

    Only the pixels of images with equal checksums are read.

    Raises:
        OSError: If the pixels cannot be read, or have changed since they were written.
    """
    by_checksum: dict[int, list[str]] = defaultdict(list)
    for file, crc32 in prepared.checksums.items():
        by_checksum[crc32].append(file)
    several = (files for files in by_checksum.values() if len(files) > 1)
    candidates = [
        named for files in several if len(named := [file for file in files if not _is_blank(prepared, file)]) > 1
    ]
    images = prepared.images([file for files in candidates for file in files])
    groups, start = [], 0
    for files in candidates:
        groups += list(_equal_pixels(images, files, start))
        start += len(files)
    return groups


def _is_blank(prepared: PreparedImages, file: str) -> bool:
    return any(flag.code in _BLANK_FLAGS for flag in prepared.flags.get(file, ()))


def _equal_pixels(images: ImageMap, files: Sequence[str], start: int) -> Iterator[tuple[str, ...]]:
    """Divide files, which are images from ``start`` on, by their pixels."""
    by_pixels: dict[bytes, list[str]] = defaultdict(list)
    for number, file in enumerate(files, start):
        by_pixels[images.read([number]).tobytes()].append(file)
    return (tuple(equal) for equal in by_pixels.values() if len(equal) > 1)
