"""What is wrong with the images of a run: they are missing, unreadable, unusual, or in two splits."""

from collections.abc import Sequence

from cxr_lightning.data.data_errors import (
    DROP_LEAKED,
    SKIP_FLAGGED,
    SKIP_MISSING,
    SKIP_UNREADABLE,
    DataProblem,
    PatientOverlapError,
    capitalized,
)
from cxr_lightning.data.duplicate_images import DuplicateImage, describe_duplicates
from cxr_lightning.data.flagged_images import FlaggedImages
from cxr_lightning.data.manifest import preview
from cxr_lightning.data.selection import SelectedImages
from cxr_lightning.imaging.reader import RejectedImagesError

_REMOVE_DUPLICATES = "remove one image of each pair from the label file"


def duplicate_problem(duplicates: Sequence[DuplicateImage]) -> DataProblem:
    """Images in more than one split, under different names.

    Args:
        duplicates: The images of earlier splits.
    """

    def error(settings: str) -> Exception:
        advice = _REMOVE_DUPLICATES
        if settings:
            drop = f"Set {settings} to drop {len(duplicates)} of these images, those of the earlier split"
            advice = f"{drop} (train before val before test), or {advice}"
        return PatientOverlapError(f"Expected no image in two splits but {found}. {capitalized(advice)}.")

    found = describe_duplicates(duplicates)
    return DataProblem(found, error, _REMOVE_DUPLICATES, (DROP_LEAKED,))


def missing_problem(selected: SelectedImages, *, skip: bool) -> DataProblem:
    """Images that are not on disk.

    Args:
        selected: The selected images.
        skip: Whether the run can go on without them.
    """

    def error(settings: str) -> Exception:
        remedy = f", or set {settings} to go on without them" if settings else ""
        return FileNotFoundError(
            f"Expected every image of the label file below the data folder but {found}. "
            f"Unpack the image archives, check `data.root`{remedy}."
        )

    found = describe_missing(selected)
    settings = (SKIP_MISSING,) if skip else ()
    return DataProblem(found, error, "unpack the image archives and check `data.root`", settings)


def describe_missing(selected: SelectedImages) -> str:
    """The number of images that are not on disk, and the first five."""
    names = selected.manifest.skipped
    total = sum(selected.looked_for.values())
    near = selected.manifest.nearest
    hint = next((f" ({near[name]})" for name in names if name in near), "")
    return f"{len(names)} of {total} images in the label file are not on disk: {preview(names)}{hint}"


def unreadable_problem(rejected: RejectedImagesError, *, cache_setting: str) -> DataProblem:
    """Images that cannot be read.

    Args:
        rejected: The error that names them.
        cache_setting: Setting that prepares images, which skipping them needs; empty if they are prepared.
    """

    def error(settings: str) -> Exception:
        return RejectedImagesError(rejected.rejections, rejected.total, rejected.listed_in, settings)

    settings = (SKIP_UNREADABLE, *([cache_setting] if cache_setting else []))
    remedies = dict.fromkeys(rejection.remedy.removesuffix(".") for rejection in rejected.rejections[:5])
    advice = "; ".join(remedy[:1].lower() + remedy[1:] for remedy in remedies if remedy != "Replace the file")
    repair = f"replace the unreadable images{f' ({advice})' if advice else ''}"
    return DataProblem(rejected.found, error, repair, settings)


def flagged_problem(flagged: FlaggedImages) -> DataProblem:
    """Images with quality flags that the settings do not allow."""

    def error(settings: str) -> Exception:
        skip = f", set {settings} to go on without them" if settings else ""
        return ValueError(
            f"Expected images without quality flags (data.on_flag=error) but {flagged.found}. All are listed in "
            f"'{flagged.listed_in}'. Replace them{skip}, or set 'data.on_flag=keep' to use them."
        )

    repair = "replace the flagged images (or use them: data.on_flag=keep)"
    return DataProblem(flagged.found, error, repair, (SKIP_FLAGGED,))
