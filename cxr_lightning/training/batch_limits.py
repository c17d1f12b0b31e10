"""Settings that contradict the number of batches or the findings of the data, which are known once that is set up."""

import math
from collections.abc import Iterator, Mapping, Sequence

import pytorch_lightning as pl

from cxr_lightning.data.datamodule import ChestXRayDataModule
from cxr_lightning.training.callbacks import averages_never_made, best_checkpoint_never_kept
from cxr_lightning.training.missing_validation import missing_validation
from cxr_lightning.training.monitored_findings import undefined_findings
from cxr_lightning.training.run_length import RunLength


def check_batch_limits(
    trainer: pl.Trainer,
    datamodule: ChestXRayDataModule,
    *,
    train: bool,
    test: bool,
    monitor: str,
    monitored: Mapping[str, Sequence[str]],
) -> None:
    """Refuse what Lightning would refuse when the step begins (the test after all training), or not at all.

    Args:
        trainer: The trainer, with its limits and callbacks.
        datamodule: The data, set up.
        train: Whether the run trains and validates.
        test: Whether it tests.
        monitor: Name of the run's monitored metric.
        monitored: Metrics that parts of the run monitor, with the dotted keys of these.

    Raises:
        ValueError: If a fraction leaves no batch of a split that is used, the training ends before a validation, an
            average or a best checkpoint that is configured, or a monitored finding is undefined; all in one message.
    """
    splits = [*(["train", "val"] if train else []), *(["test"] if test else [])]
    problems = list(_empty_splits(trainer, datamodule, splits))
    if train and not problems and not trainer.fast_dev_run:  # type: ignore[attr-defined]  # set by Lightning's connector
        length = RunLength(trainer, _used_batches(trainer, datamodule, "train"))
        validated = _used_batches(trainer, datamodule, "val") * datamodule.batch_size * trainer.world_size
        problems += missing_validation(length, monitored)
        problems += averages_never_made(trainer, length.steps)
        problems += best_checkpoint_never_kept(trainer, length.steps)
        if validated:
            problems += undefined_findings(datamodule, validated, monitor, monitored)
    if problems:
        raise ValueError(" ".join(problems))


def tested_images(trainer: pl.Trainer, datamodule: ChestXRayDataModule) -> int:
    """Number of the test images that the trainer's limit leaves, the first ones.

    Args:
        trainer: The trainer.
        datamodule: The data, set up.
    """
    images = _used_batches(trainer, datamodule, "test") * datamodule.batch_size * trainer.world_size
    return min(images, len(datamodule.rows("test")))


def _empty_splits(trainer: pl.Trainer, datamodule: ChestXRayDataModule, splits: list[str]) -> Iterator[str]:
    for split in splits:
        limit: int | float = getattr(trainer, f"limit_{split}_batches")
        if isinstance(limit, float) and limit > 0 and _used_batches(trainer, datamodule, split) == 0:
            key = "overfit_batches" if trainer.overfit_batches and split != "test" else f"limit_{split}_batches"  # type: ignore[attr-defined]  # set by Lightning's connector
            yield (
                f"Expected at least one batch of {split} images but 'trainer.{key}={limit}' of "
                f"{_batches(trainer, datamodule, split)} leaves none. Raise it, or give a number of batches."
            )


def _used_batches(trainer: pl.Trainer, datamodule: ChestXRayDataModule, split: str) -> int:
    """Number of batches of a split on one device that the trainer's limit leaves."""
    limit: int | float = getattr(trainer, f"limit_{split}_batches")
    batches = _batches(trainer, datamodule, split)
    return min(limit, batches) if isinstance(limit, int) else int(batches * limit)


def _batches(trainer: pl.Trainer, datamodule: ChestXRayDataModule, split: str) -> int:
    images = math.ceil(len(datamodule.rows(split)) / trainer.world_size)
    return math.ceil(images / datamodule.batch_size)
