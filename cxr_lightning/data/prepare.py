"""Prepare all images of a data set before a run needs them."""

from pathlib import Path

from cxr_lightning.data.cache import CacheSpec, PreparedImages
from cxr_lightning.data.cache.sharded_build import prepare_images_together
from cxr_lightning.data.datasets.base import DatasetLayout
from cxr_lightning.imaging.reader import BadImagePolicy, RejectedImagesError


def prepare_listed_images(
    layout: DatasetLayout,
    spec: CacheSpec,
    cache_dir: Path,
    *,
    on_bad_image: BadImagePolicy = "error",
    workers: int | None = None,
    verify: bool = False,
) -> tuple[PreparedImages | None, int]:
    """Decode and resize the images that a data set lists; needs no labels. Messages name the options of `cxr prepare`.

    They are divided among the processes of torchrun or srun.

    Args:
        layout: Layout of the data set.
        spec: The data set's folder, and what decides the pixels.
        cache_dir: Folder of all caches; made if missing.
        on_bad_image: ``error``: stop if an image cannot be used; ``skip``: only list it.
        workers: Number of processes; None for one per usable core.
        verify: Compare all pixels with their checksums, not only a few.

    Returns:
        The prepared images, None in all processes of a run but the first; and the number of those that are listed but
        not on disk.

    Raises:
        FileNotFoundError: If none of them is on disk.
        ValueError: As :func:`~cxr_lightning.data.cache.prepare_images`, which raises its other errors too.
    """
    paths = layout.listed_images(spec.root)
    found = paths.dropna()
    if found.empty:
        raise FileNotFoundError(f"Expected the listed images below '{spec.root}' but none is there. Unpack them.")
    try:
        prepared = prepare_images_together(
            spec.files(found), spec, cache_dir, on_bad_image=on_bad_image, workers=workers, verify=verify
        )
    except RejectedImagesError as error:  # which names the setting of a run
        raise RejectedImagesError(error.rejections, error.total, error.listed_in, "--on-bad-image skip") from error
    return prepared, len(paths) - len(found)
