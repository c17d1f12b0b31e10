"""Mean and standard deviation of training pixels, for feature-wise normalization."""

import json
import logging
from pathlib import Path

from filelock import FileLock

from cxr_lightning.data.datamodule import ChestXRayDataModule
from cxr_lightning.models.preprocess import featurewise_statistics
from cxr_lightning.utils.file_names import STATISTICS_FILE
from cxr_lightning.utils.io import atomic_write_text

logger = logging.getLogger(__name__)

_MAX_IMAGES = 500


def training_statistics(datamodule: ChestXRayDataModule) -> tuple[float, float]:
    """Mean and standard deviation of training pixels in [0, 255], of at most 500 images drawn with the data's seed.

    Args:
        datamodule: Loaded, with training images on disk.
    """
    return featurewise_statistics(datamodule.sample_images("train", _MAX_IMAGES))


def shared_training_statistics(datamodule: ChestXRayDataModule, folder: Path) -> dict[str, float]:
    """``mean`` and ``std`` of training pixels, computed by one of a run's processes for all of them.

    Args:
        datamodule: Loaded, with training images on disk.
        folder: The run's folder, in which the numbers are kept.
    """
    images = datamodule.record()["splits"]["train"]
    path = folder / STATISTICS_FILE
    with FileLock(path.with_suffix(".lock")):
        statistics = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        if statistics.get("images") != images:
            mean, std = training_statistics(datamodule)
            statistics = {"mean": mean, "std": std, "images": images}
            with atomic_write_text(path) as file:
                file.write(json.dumps(statistics))
            logger.info("pixels of at most %d training images: mean %.3f, std %.3f", _MAX_IMAGES, mean, std)
    return {name: statistics[name] for name in ("mean", "std")}
