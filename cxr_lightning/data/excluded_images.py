"""The list of images that a run excluded, for people to look at."""

import logging
from pathlib import Path

from cxr_lightning.data.manifest import Manifest
from cxr_lightning.utils.csv_files import TableWriter
from cxr_lightning.utils.file_names import EXCLUDED_IMAGES_FILE
from cxr_lightning.utils.io import atomic_write_text

logger = logging.getLogger(__name__)


def write_excluded_images(manifest: Manifest, folder: Path) -> None:
    """Write left_out.csv, the images that the label file lists and the run excluded, with reasons; if there are any."""
    reasons = {"not on disk": manifest.skipped, "patient in a later split": manifest.leaked}
    rows = [
        *manifest.rejected.items(),
        *manifest.duplicates.items(),
        *((name, reason) for reason, names in reasons.items() for name in names),
    ]
    if rows:
        with atomic_write_text(folder / EXCLUDED_IMAGES_FILE) as file:
            TableWriter(file).writerows([("image_id", "reason"), *rows])
        logger.info("images that are left out are listed in '%s'", folder / EXCLUDED_IMAGES_FILE)
