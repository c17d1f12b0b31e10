"""What a cache holds of the images that are requested, without decoding any."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from cxr_lightning.data.cache.pixels import file_identity
from cxr_lightning.data.cache.prepared_images import PreparedImages
from cxr_lightning.data.cache.request import CacheRequest, read_states, rejected_files, stale_files
from cxr_lightning.data.cache.store import PIXELS_FILE, CacheIndex, CacheSpec, read_index
from cxr_lightning.data.cache.verified_rows import VerifiedRows
from cxr_lightning.imaging.decoded_image import ImageRejectedError


def find_prepared(files: Sequence[str], spec: CacheSpec, cache_dir: Path) -> PreparedImages:
    """Those of some images that are prepared and known to be rejected already; decodes none.

    Args:
        files: Images relative to ``spec.root``.
        spec: The data set's folder, and what decides the pixels.
        cache_dir: Folder of all caches.

    Raises:
        OSError: If the cache cannot be read.
    """
    folder = cache_dir / spec.folder_name
    request = CacheRequest(folder, spec, read_states(spec.root, files), "skip", verify=False)
    index = read_index(folder, spec)
    known = set(request.states) - set(stale_files(request, index))
    request = replace(request, states={file: state for file, state in request.states.items() if file in known})
    return collect_prepared(request, index, rejected_files(request, index))


def collect_prepared(
    request: CacheRequest, index: CacheIndex, rejected: dict[str, ImageRejectedError], num_decoded: int = 0
) -> PreparedImages:
    """The requested images, all of which are in the index.

    Args:
        request: The request.
        index: The cache's index.
        rejected: Those of the images that cannot be used, by image file.
        num_decoded: Number of images that were decoded for this request.
    """
    entries = [index.entries[file] for file in request.states]
    rows = {entry.file: entry.row for entry in entries if entry.row is not None}
    checksums = {entry.file: entry.crc32 for entry in entries if entry.crc32 is not None}
    verified_rows = VerifiedRows(max(rows.values(), default=-1) + 1)
    identity = file_identity(request.folder / PIXELS_FILE) if rows else None
    flags = {entry.file: entry.quality_flags for entry in entries if entry.flags}
    return PreparedImages(
        request.folder,
        request.spec.image_size,
        rows,
        checksums,
        verified_rows,
        rejected,
        num_decoded=num_decoded,
        identity=identity,
        flags=flags,
    )
