"""The lines of the log about images that a run excludes, and about those that it uses although they are unusual."""

import logging

from cxr_lightning.data.data_errors import describe_leak
from cxr_lightning.data.duplicate_images import describe_duplicates, duplicates_within_splits
from cxr_lightning.data.image_access import ImageAccess
from cxr_lightning.data.image_check import ImageCheck
from cxr_lightning.data.image_problems import describe_missing
from cxr_lightning.data.manifest import preview
from cxr_lightning.data.selection import SelectedImages

logger = logging.getLogger(__name__)


def log_exclusions(selected: SelectedImages, found: ImageCheck, access: ImageAccess) -> None:
    """Log which images are excluded, which have quality flags, and which equal another one of their split.

    Args:
        selected: The selected images.
        found: What was found out about their files.
        access: Access to the images.
    """
    if leaked := selected.manifest.leaked:
        logger.warning("%s; %s", describe_leak(selected), _dropped(len(leaked)))
    if selected.missing:
        logger.warning("%s; going on without them", describe_missing(selected))
    if found.rejected is not None:
        table, paths = selected.manifest.table, {rejection.path for rejection in found.rejected.rejections}
        names = table["image_id"][table["path"].isin(paths)].tolist()
        logger.warning("%s images cannot be used: %s; going on without them", f"{len(names):,}", preview(names))
    if found.flagged is not None:
        skipped = access.on_flag == "skip"
        level, without = (logging.WARNING, "; going on without them") if skipped else (logging.INFO, "")
        logger.log(level, "%s%s", found.flagged.summary, without)
    if found.duplicates:
        logger.warning("%s; %s", describe_duplicates(found.duplicates), _dropped(len(found.duplicates)))
    if access.cache_dir is None:
        logger.info("without prepared images, quality flags and equal images are not looked for")
    if groups := duplicates_within_splits(found.usable.table, access.equal_images()):
        count = sum(len(group) - 1 for group in groups)
        again = "1 image has the same pixels as another of its split"
        if count > 1:
            again = f"{count:,} images have the same pixels as another of their split"
        logger.info("%s: %s", again, preview([" = ".join(group) for group in groups]))


def _dropped(count: int) -> str:
    return f"dropped {count} images from the earlier split (data.drop_leaked)"
