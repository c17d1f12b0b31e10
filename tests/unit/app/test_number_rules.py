"""Ranges of numbers, which are those of the constructors."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from cxr_lightning.app.number_rules import DATA_RANGES, TRAIN_RANGES, Range
from cxr_lightning.data.augment import Augmentation
from cxr_lightning.data.datamodule import ChestXRayDataModule
from cxr_lightning.data.datasets.nih import NIHLayout
from cxr_lightning.models.classifier import ChestXRayClassifier
from cxr_lightning.models.schedules import cosine
from cxr_lightning.training.callbacks import LastCheckpoint, ProgressBar, ProgressLog, snapshots


def data(name: str) -> Callable[[Any], object]:
    return lambda value: ChestXRayDataModule("x", NIHLayout(), **{name: value})


def schedule(warmup: float) -> object:
    return cosine(torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1), 10, warmup=warmup)


def model(drop_rate: float) -> object:
    with torch.device("meta"):
        return ChestXRayClassifier(["Edema"], backbone="densenet_micro", drop_rate=drop_rate)


CONSTRUCTORS: dict[str, Callable[[Any], object]] = {
    "data.image_size": data("image_size"),
    "data.batch_size": data("batch_size"),
    "data.num_workers": data("num_workers"),
    "data.seed": data("seed"),
    "data.val_fraction": data("val_fraction"),
    "data.test_fraction": data("test_fraction"),
    "data.augmentation.rotation": lambda value: Augmentation(rotation=value),
    "data.augmentation.shift": lambda value: Augmentation(shift=value),
    "data.augmentation.scale": lambda value: Augmentation(scale=value),
    "data.augmentation.brightness": lambda value: Augmentation(brightness=value),
    "data.augmentation.contrast": lambda value: Augmentation(contrast=value),
    "data.augmentation.flip": lambda value: Augmentation(flip=value),
    "model.drop_rate": model,
    "scheduler.warmup": schedule,
    "callbacks.last_checkpoint.every_minutes": lambda value: LastCheckpoint("x", every_minutes=value),
    "callbacks.last_checkpoint.every_steps": lambda value: LastCheckpoint("x", every_steps=value),
    "callbacks.snapshots.every_n_epochs": lambda value: snapshots("x", every_n_epochs=value),
    "callbacks.progress_bar.seconds": lambda value: ProgressBar(seconds=value),
    "callbacks.progress_log.every_seconds": lambda value: ProgressLog(value),
}
"""Constructors of this package, from one number."""
WHOLE = {"image_size", "batch_size", "num_workers", "seed", "every_steps", "every_n_epochs"}
RANGES = {**{f"data.{key}": allowed for key, allowed in DATA_RANGES.items()}, **TRAIN_RANGES}


def numbers_at(bound: float, *, whole: bool) -> list[float]:
    step = 1 if whole else 1e-3
    return [int(value) if whole else value for value in (bound - step, bound, bound + step)]


@pytest.mark.parametrize("key", CONSTRUCTORS)
def test_a_range_is_that_of_the_constructor(key: str) -> None:
    allowed, whole = RANGES[key], key.rpartition(".")[2] in WHOLE
    for bound in filter(math.isfinite, (allowed.low, allowed.high)):
        for value in numbers_at(bound, whole=whole):
            if value in allowed:
                CONSTRUCTORS[key](value)
            else:
                with pytest.raises(ValueError, match="Expected"):
                    CONSTRUCTORS[key](value)


def test_the_other_ranges_are_of_libraries_whose_numbers_are_not_checked_here() -> None:
    others = {key for key in RANGES if key not in CONSTRUCTORS}
    assert {key.partition(".")[0] for key in others} == {"optimizer", "scheduler", "trainer", "callbacks"}
    assert {key for key in others if key.startswith("callbacks.")} == {
        "callbacks.early_stopping.patience",
        "callbacks.early_stopping.min_delta",
    }


def test_a_range_says_its_bounds() -> None:
    assert str(Range(0, 1, high_included=False)) == "in [0, 1)"
    assert str(Range(1, special={-1: "all"})) == "at least 1, or -1 (all)"
    assert math.nan not in Range()
