"""Fractions of the batches that leave none, which are known once the data is."""

import math
from collections.abc import Iterator

import pytorch_lightning as pl

from cxr_lightning.data.datamodule import ChestXRayDataModule


def check_batch_limits(trainer: pl.Trainer, datamodule: ChestXRayDataModule, *, train: bool, test: bool) -> None:
    """Refuse limits that leave no batch; Lightning itself does so when the step begins, the test after all training.

    Args:
        trainer: The trainer, with its limits.
        datamodule: The data, set up.
        train: Whether the run trains and validates.
        test: Whether it tests.

    Raises:
        ValueError: If a fraction leaves no batch of a split that is used.
    """
    splits = [*(["train", "val"] if train else []), *(["test"] if test else [])]
    if problems := list(_problems(trainer, datamodule, splits)):
        raise ValueError(" ".join(problems))


def _problems(trainer: pl.Trainer, datamodule: ChestXRayDataModule, splits: list[str]) -> Iterator[str]:
    for split in splits:
        limit: int | float = getattr(trainer, f"limit_{split}_batches")
        images = math.ceil(len(datamodule.rows(split)) / trainer.world_size)
        batches = math.ceil(images / datamodule.batch_size)
        if isinstance(limit, float) and limit > 0 and int(batches * limit) == 0:
            key = "overfit_batches" if trainer.overfit_batches and split != "test" else f"limit_{split}_batches"  # type: ignore[attr-defined]  # set by Lightning's connector
            yield (
                f"Expected at least one batch of {split} images but 'trainer.{key}={limit}' of {batches} leaves none. "
                "Raise it, or give a number of batches."
            )
