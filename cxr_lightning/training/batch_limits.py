"""Batches and images that the trainer's limits leave of a split, which are known once the data is set up."""

import math
from collections.abc import Iterator, Sequence

import pytorch_lightning as pl

from cxr_lightning.data.datamodule import ChestXRayDataModule


def splits_without_batches(
    trainer: pl.Trainer, datamodule: ChestXRayDataModule, splits: Sequence[str]
) -> Iterator[str]:
    """Describe fractions that leave no batch of a split.

    Args:
        trainer: The trainer.
        datamodule: The data, set up.
        splits: The splits that are used.
    """
    for split in splits:
        limit: int | float = getattr(trainer, f"limit_{split}_batches")
        if isinstance(limit, float) and limit > 0 and count_batches(trainer, datamodule, split) == 0:
            key = "overfit_batches" if trainer.overfit_batches and split != "test" else f"limit_{split}_batches"  # type: ignore[attr-defined]  # set by Lightning's connector
            yield (
                f"Expected at least one batch of {split} images but 'trainer.{key}={limit}' of "
                f"{_batches(trainer, datamodule, split)} leaves none. Raise it, or give a number of batches."
            )


def count_batches(trainer: pl.Trainer, datamodule: ChestXRayDataModule, split: str) -> int:
    """Number of batches of a split on one device that the trainer's limit leaves.

    Args:
        trainer: The trainer.
        datamodule: The data, set up.
        split: The split.
    """
    limit: int | float = getattr(trainer, f"limit_{split}_batches")
    batches = _batches(trainer, datamodule, split)
    return min(limit, batches) if isinstance(limit, int) else int(batches * limit)


def tested_images(trainer: pl.Trainer, datamodule: ChestXRayDataModule) -> int:
    """Number of the test images that the trainer's limit leaves, the first ones.

    Args:
        trainer: The trainer.
        datamodule: The data, set up.
    """
    images = count_batches(trainer, datamodule, "test") * datamodule.batch_size * trainer.world_size
    return min(images, len(datamodule.rows("test")))


def _batches(trainer: pl.Trainer, datamodule: ChestXRayDataModule, split: str) -> int:
    images = math.ceil(len(datamodule.rows(split)) / trainer.world_size)
    return math.ceil(images / datamodule.batch_size)
