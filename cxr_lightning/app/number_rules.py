"""Ranges of the numbers in nodes, so that all wrong ones are found at once, and before torch is imported.

Constructors of this package check their own numbers as well; some of the libraries' take whatever they get.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

from cxr_lightning.data.setting_rules import MAX_IMAGE_SIZE, MAX_WORKERS, MIN_IMAGE_SIZE


@dataclass(frozen=True)
class Range:
    """The numbers that a setting may have.

    Attributes:
        low: Lower bound.
        high: Upper bound.
        low_included: Whether the lower bound is allowed.
        high_included: Whether the upper bound is allowed.
        special: Other values that are allowed, each with its meaning.
    """

    low: float = -math.inf
    high: float = math.inf
    low_included: bool = True
    high_included: bool = True
    special: Mapping[int, str] | None = None

    def __contains__(self, value: float) -> bool:
        if value in (self.special or {}):
            return True
        above = value >= self.low if self.low_included else value > self.low
        below = value <= self.high if self.high_included else value < self.high
        return above and below and math.isfinite(value)

    def __str__(self) -> str:
        if math.isfinite(self.high):
            words = (
                f"in {'[' if self.low_included else '('}{self.low:g}, {self.high:g}{']' if self.high_included else ')'}"
            )
        else:
            words = f"{'at least' if self.low_included else 'above'} {self.low:g}"
        return ", or ".join([words, *(f"{value} ({meaning})" for value, meaning in (self.special or {}).items())])


_AT_LEAST_0, _AT_LEAST_1, _ABOVE_0 = Range(0), Range(1), Range(0, low_included=False)
_FRACTION = Range(0, 1, high_included=False)
_NO_LIMIT = {-1: "no limit"}

DATA_RANGES: dict[str, Range] = {
    "image_size": Range(MIN_IMAGE_SIZE, MAX_IMAGE_SIZE),
    "batch_size": _AT_LEAST_1,
    "num_workers": Range(0, MAX_WORKERS),
    "seed": _AT_LEAST_0,
    "val_fraction": _FRACTION,
    "test_fraction": _FRACTION,
    "augmentation.rotation": Range(0, 180),
    "augmentation.shift": Range(0, 1),
    "augmentation.scale": Range(0, 0.9),
    "augmentation.brightness": Range(0, 1),
    "augmentation.contrast": Range(0, 0.9),
    "augmentation.flip": Range(0, 1),
}
"""Ranges of the data's settings."""
TRAIN_RANGES: dict[str, Range] = {
    "model.drop_rate": _FRACTION,
    "optimizer.lr": _ABOVE_0,
    "optimizer.weight_decay": _AT_LEAST_0,
    "optimizer.momentum": _FRACTION,
    "optimizer.eps": _AT_LEAST_0,
    "scheduler.warmup": Range(0, 1),
    "scheduler.patience": _AT_LEAST_0,
    "scheduler.cooldown": _AT_LEAST_0,
    "scheduler.min_lr": _AT_LEAST_0,
    "scheduler.total_iters": _AT_LEAST_0,
    "trainer.devices": Range(1, special={-1: "all"}),
    "trainer.num_nodes": _AT_LEAST_1,
    "trainer.max_steps": Range(1, special=_NO_LIMIT),
    "trainer.min_epochs": _AT_LEAST_1,
    "trainer.min_steps": _AT_LEAST_1,
    "trainer.fast_dev_run": _AT_LEAST_0,
    "trainer.check_val_every_n_epoch": _AT_LEAST_1,
    "trainer.num_sanity_val_steps": Range(0, special={-1: "all"}),
    "trainer.gradient_clip_val": _ABOVE_0,
    "trainer.accumulate_grad_batches": _AT_LEAST_1,
    "trainer.log_every_n_steps": _AT_LEAST_0,
    "callbacks.early_stopping.patience": _AT_LEAST_0,
    "callbacks.early_stopping.min_delta": _AT_LEAST_0,
    "callbacks.last_checkpoint.every_minutes": _ABOVE_0,
    "callbacks.last_checkpoint.every_steps": _AT_LEAST_1,
    "callbacks.snapshots.every_n_epochs": _AT_LEAST_1,
    "callbacks.progress_bar.seconds": _AT_LEAST_0,
    "callbacks.progress_log.every_seconds": _AT_LEAST_0,
}
"""Ranges of the other numbers of a training."""
MAX_EPOCHS_RANGE = Range(1, special=_NO_LIMIT)
PLATEAU_FACTOR_RANGE = Range(0, 1, low_included=False, high_included=False)


def numbers_out_of_range(settings: Mapping[str, Any], ranges: Mapping[str, Range], prefix: str = "") -> Iterator[str]:
    """Describe the numbers that are not in their range; values of another type are left to the types' check.

    Args:
        settings: Nodes by name, or one node.
        ranges: Ranges by dotted key.
        prefix: Text before the keys in the descriptions.
    """
    for key, allowed in ranges.items():
        value: Any = settings
        for name in key.split("."):
            value = value.get(name) if isinstance(value, Mapping) else None
        if is_number(value) and value not in allowed:
            yield f"Expected `{prefix}{key}` to be {allowed} but got {value}. Correct the value."


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether a value is a number; bool is none."""
    return isinstance(value, int | float) and not isinstance(value, bool)
