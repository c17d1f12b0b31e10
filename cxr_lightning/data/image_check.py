"""What is known of the files of selected images: which cannot be used, have quality flags or are in two splits."""

from collections.abc import Sequence
from dataclasses import dataclass

from cxr_lightning.data.duplicate_images import DuplicateImage, find_duplicates
from cxr_lightning.data.flagged_images import FlaggedImages
from cxr_lightning.data.image_access import ImageAccess
from cxr_lightning.data.manifest import Manifest
from cxr_lightning.imaging.reader import RejectedImagesError


@dataclass(frozen=True)
class ImageCheck:
    """The images that remain if those that cannot be used are left out, and what these are.

    Attributes:
        usable: The remaining images.
        rejected: The error about images that cannot be read; None if all can.
        flagged: Images with quality flags; None if there are none. They remain with ``data.on_flag=keep``.
        duplicates: Images that are in a later split too, under another name.
    """

    usable: Manifest
    rejected: RejectedImagesError | None = None
    flagged: FlaggedImages | None = None
    duplicates: tuple[DuplicateImage, ...] = ()


def check_images(manifest: Manifest, splits: Sequence[str], access: ImageAccess) -> ImageCheck:
    """Look at the images of some splits: at what the cache knows of them, else at their first and last bytes.

    Args:
        manifest: The selected images.
        splits: Splits whose images are looked at.
        access: Access to the images.
    """
    paths = manifest.table["path"][manifest.table["split"].isin(splits)].tolist()
    rejected = access.inspect(paths)
    usable = manifest.exclude({rejection.path: rejection.reason for rejection in rejected})
    flagged = access.flagged(paths)
    if flagged is not None and access.on_flag != "keep":
        usable = usable.exclude(flagged.reasons)
    duplicates = find_duplicates(usable.table, access.equal_images(), splits)
    return ImageCheck(
        usable.exclude_duplicates({duplicate.path: duplicate.reason for duplicate in duplicates}),
        RejectedImagesError(rejected, len(paths), access.rejected_list) if rejected else None,
        flagged,
        tuple(duplicates),
    )
