"""The time that a training needs until its end."""

import math
from dataclasses import dataclass

import pytorch_lightning as pl


@dataclass(frozen=True)
class Pace:
    """Training batches and images on all devices, and the seconds that they took."""

    batches: int = 0
    images: int = 0
    seconds: float = 0.0

    def plus(self, images: int, seconds: float) -> "Pace":
        """This and one batch more."""
        return Pace(self.batches + 1, self.images + images, self.seconds + seconds)

    @property
    def images_per_second(self) -> float:
        """The speed."""
        return self.images / max(self.seconds, 1e-9)


def batches_left(trainer: pl.Trainer, done: int) -> float:
    """Number of training batches until the end of the training; infinite where that is not known.

    Args:
        trainer: The trainer, which is training.
        done: Number of batches of this epoch that are done.
    """
    left = math.inf
    if trainer.max_epochs is not None and trainer.max_epochs >= 0:
        left = (trainer.max_epochs - trainer.current_epoch) * trainer.num_training_batches - done
    if trainer.max_steps >= 0:
        left = min(left, (trainer.max_steps - trainer.global_step) * trainer.accumulate_grad_batches)
    return max(0, left)


def seconds_left(trainer: pl.Trainer, done: int, pace: Pace, validation_seconds: float | None) -> float:
    """Seconds until the end of the training at the current pace; infinite where the end is not known.

    Args:
        trainer: The trainer, which is training.
        done: Number of batches of this epoch that are done.
        pace: The current pace.
        validation_seconds: Duration of the last validation; None before the first one, whose batches then are taken to
            be as slow as those of the training.
    """
    left = batches_left(trainer, done)
    if not math.isfinite(left) or pace.batches == 0:
        return math.inf
    seconds_per_batch = pace.seconds / pace.batches
    if validation_seconds is None:
        validation_seconds = sum(trainer.num_val_batches) * seconds_per_batch
    epochs = math.ceil(left / trainer.num_training_batches)
    return left * seconds_per_batch + epochs * _validations_per_epoch(trainer) * validation_seconds


def _validations_per_epoch(trainer: pl.Trainer) -> float:
    batches = trainer.val_check_batch
    if batches is None or not math.isfinite(batches) or not trainer.enable_validation:
        return 0.0
    every = trainer.check_val_every_n_epoch or 1  # None: the batches are counted over epochs
    return trainer.num_training_batches / batches / every
