"""Access to the images of a data set: prepared in the cache, or decoded from their files whenever they are read."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from cxr_lightning.data.cache import CacheSpec, PreparedImages, prepare_images
from cxr_lightning.data.dataset import ImageFiles, ImageStore
from cxr_lightning.data.manifest import Manifest
from cxr_lightning.data.setting_rules import skipping_problem
from cxr_lightning.imaging.decoded_image import ImageRejectedError
from cxr_lightning.imaging.reader import BadImagePolicy, Interpolation
from cxr_lightning.imaging.signatures import find_unreadable
from cxr_lightning.utils.validation import check_choice


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
        if problem := skipping_problem(on_bad_image, cache=cache):
            raise ValueError(problem)
        self.on_bad_image: BadImagePolicy = check_choice("data.on_bad_image", on_bad_image, BadImagePolicy)
        self.spec = CacheSpec(root, image_size, check_choice("interpolation", interpolation, Interpolation))
        self.cache_dir = Path(cache_dir) if cache and cache_dir is not None else None
        self._prepared: PreparedImages | None = None
        self._inspected: dict[str, ImageRejectedError | None] = {}

    def inspect(self, paths: Sequence[str]) -> list[ImageRejectedError]:
        """Look at the first and last bytes of image files, and name those that cannot be images.

        Every file is looked at once only.
        """
        new = [path for path in paths if path not in self._inspected]
        self._inspected |= dict.fromkeys(new)
        self._inspected |= {rejection.path: rejection for rejection in find_unreadable([Path(path) for path in new])}
        return [rejection for path in paths if (rejection := self._inspected[path]) is not None]

    def prepare(self, manifest: Manifest, splits: Sequence[str]) -> list[ImageRejectedError]:
        """Prepare the images of some splits, if there is a cache.

        Returns:
            The images that cannot be used, with ``on_bad_image=skip``.

        Raises:
            RejectedImagesError: If an image cannot be used, with ``on_bad_image=error``.
            ValueError: If the disk is too small for prepared images.
        """
        paths = manifest.table["path"][manifest.table["split"].isin(splits)]
        if self.cache_dir is None or paths.empty:
            return []
        files = self.spec.files(paths)
        self._prepared = prepare_images(files, self.spec, self.cache_dir, on_bad_image=self.on_bad_image)
        return list(self._prepared.rejected.values())

    def open(self, paths: pd.Series) -> ImageStore:
        """Images by their paths: prepared ones if all of them are prepared, else their files."""
        files = self.spec.files(paths)
        if self._prepared is not None and all(file in self._prepared.rows for file in files):
            return self._prepared.images(files)
        return ImageFiles(list(paths), self.spec.image_size, self.spec.interpolation)
