"""Access to the images of a data set: prepared in the cache, or decoded from their files whenever they are read."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pandas as pd

from cxr_lightning.data.cache import (
    FLAGS_FILE,
    CacheSpec,
    PreparedImages,
    find_equal_images,
    find_prepared,
    prepare_images,
)
from cxr_lightning.data.dataset import ImageFiles, ImageStore
from cxr_lightning.data.flagged_images import FlaggedImages
from cxr_lightning.data.manifest import Manifest
from cxr_lightning.data.setting_rules import flags_problem, skipping_problem
from cxr_lightning.imaging.decoded_image import ImageRejectedError
from cxr_lightning.imaging.reader import BadImagePolicy, FlagPolicy, Interpolation, RejectedImagesError
from cxr_lightning.imaging.signatures import find_unreadable
from cxr_lightning.utils.validation import check_choice


class ImageAccess:
    """Checks, prepares and opens images; the arguments are those of the data module, which explains them.

    Args:
        spec: The data set's folder, and how its images are decoded and resized.
        cache: Whether images are prepared.
        cache_dir: Folder of the caches; required with ``cache``.
        on_bad_image: ``error`` or ``skip``; to skip needs ``cache``.
        on_flag: ``keep``, ``skip`` or ``error``; the last two need ``cache``.

    Attributes:
        rejected_list: File that lists all images of the cache that cannot be used, after :meth:`prepare` found some.

    Raises:
        ValueError: If a setting is not among its choices, or the settings contradict each other.
    """

    def __init__(
        self,
        spec: CacheSpec,
        *,
        cache: bool,
        cache_dir: str | None,
        on_bad_image: BadImagePolicy = "error",
        on_flag: FlagPolicy = "keep",
    ) -> None:
        if cache and cache_dir is None:
            raise ValueError("Expected `data.cache_dir` beside `data.cache` but got none. Name a folder.")
        if problem := skipping_problem(on_bad_image, cache=cache) or flags_problem(on_flag, cache=cache):
            raise ValueError(problem)
        self.on_bad_image: BadImagePolicy = check_choice("data.on_bad_image", on_bad_image, BadImagePolicy)
        self.on_flag: FlagPolicy = check_choice("data.on_flag", on_flag, FlagPolicy)
        check_choice("interpolation", spec.interpolation, Interpolation)
        self.spec = spec
        self.cache_dir = Path(cache_dir) if cache and cache_dir is not None else None
        self._prepared: PreparedImages | None = None
        self._path_of: dict[str, str] = {}
        self._equal_images: list[tuple[str, ...]] | None = None
        self._inspected: dict[str, ImageRejectedError | None] = {}
        self.rejected_list: Path | None = None

    def inspect(self, paths: Sequence[str]) -> list[ImageRejectedError]:
        """Look at the first and last bytes of image files, and name those that cannot be images.

        Every file is looked at once only.
        """
        new = [path for path in paths if path not in self._inspected]
        self._inspected |= dict.fromkeys(new)
        self._inspected |= {rejection.path: rejection for rejection in find_unreadable([Path(path) for path in new])}
        return [rejection for path in paths if (rejection := self._inspected[path]) is not None]

    def prepare(self, manifest: Manifest, splits: Sequence[str]) -> None:
        """Prepare the images of some splits, if there is a cache; what that shows is known to the other methods.

        Raises:
            ValueError: If the disk is too small for prepared images.
        """
        paths = self._paths(manifest, splits)
        if self.cache_dir is None or not paths:
            return
        files = self.spec.files(paths)
        try:
            prepared = prepare_images(files, self.spec, self.cache_dir, on_bad_image=self.on_bad_image)
        except RejectedImagesError as error:
            self.rejected_list = error.listed_in
            prepared = find_prepared(files, self.spec, self.cache_dir)
            self._inspected |= {rejection.path: rejection for rejection in error.rejections}
        self._inspected |= dict.fromkeys(path for path in paths if path not in self._inspected)
        self._keep(prepared, paths)

    def read_cached(self, manifest: Manifest, splits: Sequence[str]) -> None:
        """Take up what the cache knows of the images of some splits already; prepares none."""
        paths = self._paths(manifest, splits)
        if self.cache_dir is not None and paths:
            with suppress(OSError):  # preparing them will tell
                self._keep(find_prepared(self.spec.files(paths), self.spec, self.cache_dir), paths)

    @staticmethod
    def _paths(manifest: Manifest, splits: Sequence[str]) -> list[str]:
        paths: list[str] = manifest.table["path"][manifest.table["split"].isin(splits)].tolist()
        return paths

    def _keep(self, prepared: PreparedImages, paths: Sequence[str]) -> None:
        self._prepared, self._equal_images = prepared, None
        self._path_of = dict(zip(self.spec.files(paths), paths, strict=True))
        self._inspected |= {self._path_of[file]: None for file in prepared.rows}
        self._inspected |= {self._path_of[file]: rejection for file, rejection in prepared.rejected.items()}

    def flagged(self, paths: Sequence[str]) -> FlaggedImages | None:
        """Those of some images that have quality flags; None if none has, or nothing is prepared."""
        prepared = self._prepared
        if prepared is None or not prepared.flags:
            return None
        flags = prepared.flags
        files = self.spec.files(paths)
        found = {path: flags[file] for path, file in zip(paths, files, strict=True) if file in flags}
        total = sum(file in prepared.rows for file in files)
        return FlaggedImages(found, total, prepared.folder / FLAGS_FILE) if found else None

    def equal_images(self) -> list[tuple[str, ...]]:
        """Groups of paths of prepared images whose pixels are equal; blank images are in none.

        Raises:
            OSError: If prepared images cannot be read, or have changed since they were written.
        """
        if self._equal_images is None:
            groups = [] if self._prepared is None else find_equal_images(self._prepared)
            self._equal_images = [tuple(self._path_of[file] for file in group) for group in groups]
        return self._equal_images

    def open(self, paths: pd.Series) -> ImageStore:
        """Images by their paths: prepared ones if all of them are prepared, else their files."""
        files = self.spec.files(paths)
        if self._prepared is not None and all(file in self._prepared.rows for file in files):
            return self._prepared.images(files)
        return ImageFiles(list(paths), self.spec.image_size, self.spec.interpolation, force=self.spec.force)
