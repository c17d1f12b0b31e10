"""Mean and standard deviation of training pixels, for feature-wise normalization."""

import logging
from pathlib import Path
from typing import Annotated

from filelock import FileLock
from pydantic import Field, ValidationError

from cxr_lightning.checkpoints.metadata_model import SplitRecord
from cxr_lightning.data.datamodule import ChestXRayDataModule
from cxr_lightning.models.preprocess import featurewise_statistics
from cxr_lightning.utils.file_names import STATISTICS_FILE
from cxr_lightning.utils.io import atomic_write_text
from cxr_lightning.utils.regular_files import FileTooLargeError, NotRegularFileError, read_limited
from cxr_lightning.utils.typed_values import TypedValues, describe_errors

logger = logging.getLogger(__name__)

_MAX_IMAGES = 500
_MAX_FILE_BYTES = 10_000


class StoredStatistics(TypedValues):
    """The content of statistics.json."""

    mean: Annotated[float, Field(ge=0, le=255)]
    """Mean of the pixels, in [0, 255]."""
    std: Annotated[float, Field(gt=0, le=255)]
    """Standard deviation of the pixels, in [0, 255]."""
    images: SplitRecord
    """The training images of which both were computed."""


def training_statistics(datamodule: ChestXRayDataModule) -> tuple[float, float]:
    """Mean and standard deviation of training pixels in [0, 255], of at most 500 images drawn with the data's seed.

    Args:
        datamodule: Loaded, with training images on disk.
    """
    return featurewise_statistics(datamodule.dataset("train").sample_images(_MAX_IMAGES, datamodule.selection.seed))


def shared_training_statistics(datamodule: ChestXRayDataModule, folder: Path) -> dict[str, float]:
    """``mean`` and ``std`` of training pixels, computed by one of a run's processes for all of them.

    Args:
        datamodule: Loaded, with training images on disk.
        folder: The run's folder, in which the numbers are kept.
    """
    images = SplitRecord.model_validate(datamodule.record()["splits"]["train"])
    path = folder / STATISTICS_FILE
    with FileLock(path.with_suffix(".lock")):
        statistics = _read_statistics(path)
        if statistics is None or statistics.images != images:
            mean, std = training_statistics(datamodule)
            statistics = StoredStatistics(mean=mean, std=std, images=images)
            with atomic_write_text(path) as file:
                file.write(statistics.model_dump_json())
            logger.info("pixels of at most %d training images: mean %.3f, std %.3f", _MAX_IMAGES, mean, std)
    return {"mean": statistics.mean, "std": statistics.std}


def _read_statistics(path: Path) -> StoredStatistics | None:
    """Read what another process or an earlier start has computed; None if it did not, or the file is damaged."""
    try:
        return StoredStatistics.model_validate_json(read_limited(path, _MAX_FILE_BYTES))
    except FileNotFoundError:
        return None
    except (FileTooLargeError, NotRegularFileError) as error:
        logger.warning("'%s' is damaged and computed again: %s", path, error.strerror)
    except ValidationError as error:
        logger.warning("'%s' is damaged and computed again: in it, %s", path, describe_errors(error))
    return None
