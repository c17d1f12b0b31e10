"""Access to the images of a data set: prepared in the cache, or decoded from their files whenever they are read."""

import logging
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from cxr_lightning.data.cache import CacheSpec, PreparedImages, prepare_images
from cxr_lightning.data.dataset import ImageFiles, ImageStore
from cxr_lightning.data.manifest import Manifest, preview
from cxr_lightning.imaging.reader import BadImagePolicy, Interpolation, rejected_images_error
from cxr_lightning.imaging.signatures import find_unreadable
from cxr_lightning.utils.validation import check_choice

logger = logging.getLogger(__name__)


class ImageAccess:
    """Checks, prepares and opens images; the arguments are those of the data module, which explains them.

    Args:
        root: The data set's folder.
        image_size: Side that images are resized to, in pixels, S.
        interpolation: How they are resized.
        cache: Whether images are prepared.
        cache_dir: Folder of the caches; required with ``cache``.
        on_bad_image: ``error`` or ``skip``; to skip needs ``cache``.

    Raises:
        ValueError: If a setting is not among its choices, or the settings contradict each other.
    """

    def __init__(
        self,
        root: Path,
        image_size: int,
        interpolation: Interpolation,
        *,
        cache: bool,
        cache_dir: str | None,
        on_bad_image: BadImagePolicy,
    ) -> None:
        if cache and cache_dir is None:
            raise ValueError("Expected `data.cache_dir` beside `data.cache` but got none. Name a folder.")
        if on_bad_image == "skip" and not cache:  # damage inside a file is only found by decoding it
            raise ValueError(
                "Expected prepared images with 'data.on_bad_image=skip' but they are off. Set 'data.cache=true' "
                "(evaluate.py: cache=true), or replace the bad images."
            )
        self.on_bad_image: BadImagePolicy = check_choice("data.on_bad_image", on_bad_image, BadImagePolicy)
        self.spec = CacheSpec(root, image_size, check_choice("interpolation", interpolation, Interpolation))
        self.cache_dir = Path(cache_dir) if cache and cache_dir is not None else None
        self._prepared: PreparedImages | None = None

    def check(
        self, manifest: Manifest, required: Sequence[str], images: Sequence[str], prepared: Sequence[str]
    ) -> Manifest:
        """Prepare the images, or look at their files' first and last bytes; exclude unreadable ones if allowed.

        Args:
            manifest: The selected rows.
            required: Splits that must not be empty afterwards.
            images: Splits whose images are checked.
            prepared: Those of them that are prepared, if there is a cache.

        Raises:
            ValueError: If an image cannot be read and ``on_bad_image`` is ``error``, a required split is empty, or the
                disk is too small for prepared images.
        """
        split, paths = manifest.table["split"], manifest.table["path"]
        cached = paths[split.isin({*images} & {*prepared})] if self.cache_dir is not None else paths[:0]
        inspected = [Path(path) for path in paths[split.isin(images)].drop(cached.index)]
        rejected = {rejection.path: rejection for rejection in find_unreadable(inspected)}
        if rejected and self.on_bad_image == "error":
            raise rejected_images_error(list(rejected.values()), len(inspected))
        if self.cache_dir is not None and len(cached):
            files = self.spec.files(cached)
            self._prepared = prepare_images(files, self.spec, self.cache_dir, on_bad_image=self.on_bad_image)
            rejected |= {rejection.path: rejection for rejection in self._prepared.rejected.values()}
        kept = manifest.exclude({path: rejection.reason for path, rejection in rejected.items()})
        if empty := [name for name in required if not (kept.table["split"] == name).any()]:
            raise ValueError(f"Expected usable images in {empty} but none is, such as: {next(iter(rejected.values()))}")
        if rejected:
            names = preview(list(kept.rejected))
            logger.warning("%s images cannot be used: %s; going on without them", f"{len(rejected):,}", names)
        return kept

    def open(self, paths: pd.Series) -> ImageStore:
        """Images by their paths: prepared ones if all of them are prepared, else their files."""
        files = self.spec.files(paths)
        if self._prepared is not None and all(file in self._prepared.rows for file in files):
            return self._prepared.images(files)
        return ImageFiles(list(paths), self.spec.image_size, self.spec.interpolation)
