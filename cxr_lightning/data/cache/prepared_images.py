"""What preparing images gives: where the pixels of each image are, and how they are read."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from cxr_lightning.data.cache.image_lists import FLAGS_FILE, describe_flags
from cxr_lightning.data.cache.pixels import ImageMap, RowChecksums
from cxr_lightning.data.cache.store import PIXELS_FILE
from cxr_lightning.data.cache.verified_rows import VerifiedRows
from cxr_lightning.imaging.decoded_image import ImageRejectedError, QualityFlag


@dataclass(frozen=True)
class PreparedImages:
    """Images of a data set that are ready to be read.

    Attributes:
        folder: The cache's folder.
        image_size: Side in pixels, S.
        rows: Row in the file of pixels, by image file relative to the data set's folder.
        checksums: Checksum of each row, by image file.
        verified_rows: Which rows of the file were compared with their checksums since.
        rejected: Images that cannot be used, by image file.
        num_decoded: Number of images that were decoded in this call.
        identity: Identity of the file of pixels; None if there is none.
        flags: Quality flags of the images that have any, by image file.
    """

    folder: Path
    image_size: int
    rows: dict[str, int]
    checksums: dict[str, int]
    verified_rows: VerifiedRows
    rejected: dict[str, ImageRejectedError]
    num_decoded: int = 0
    identity: tuple[int, int] | None = None
    flags: dict[str, tuple[QualityFlag, ...]] = field(default_factory=dict)

    def describe_flags(self) -> str:
        """How many images have quality flags, how often each flag occurs, and where they are listed, as a clause."""
        return describe_flags(self.flags, len(self.rows), self.folder / FLAGS_FILE)

    def images(self, files: Sequence[str]) -> ImageMap:
        """Some of the images, in the order of ``files``."""
        crc32 = np.array([self.checksums[file] for file in files], dtype=np.uint32)
        checksums = RowChecksums(list(files), crc32, self.verified_rows)
        rows = [self.rows[file] for file in files]
        return ImageMap(self.folder / PIXELS_FILE, rows, self.image_size, self.identity, checksums)
