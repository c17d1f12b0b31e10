"""Steps and the first validation of a training, counted before it begins."""

import math
from bisect import bisect_left
from dataclasses import dataclass

import pytorch_lightning as pl
from pytorch_lightning.callbacks import GradientAccumulationScheduler

from cxr_lightning.utils.trainer_callbacks import find_callback


@dataclass(frozen=True)
class RunLength:
    """The length of a training, whose number of batches is known.

    Attributes:
        trainer: The trainer, with its limits.
        batches: Number of training batches of an epoch on one device, at least 1.
    """

    trainer: pl.Trainer
    batches: int

    @property
    def total_batches(self) -> float:
        """Number of training batches of all epochs; infinite where there is no limit of epochs."""
        epochs = self.trainer.max_epochs
        return math.inf if epochs is None or epochs < 0 else epochs * self.batches

    @property
    def steps(self) -> float:
        """Number of optimizer steps; infinite where only time limits the training."""
        steps = math.inf if self.trainer.max_steps < 0 else self.trainer.max_steps
        total = self.total_batches
        return steps if math.isinf(total) else min(steps, self.steps_after(int(total)))

    def steps_after(self, batches: int) -> int:
        """Number of optimizer steps after some batches, counted over epochs, without a limit of steps.

        An epoch's last batch is followed by a step, also where fewer gradients were accumulated.

        Args:
            batches: Number of batches.
        """
        epochs, rest = divmod(batches, self.batches)
        schedule = find_callback(self.trainer, GradientAccumulationScheduler)
        varied = min(epochs, 0 if schedule is None else max(schedule.scheduling))
        steps = sum(self._steps_of(epoch) for epoch in range(varied)) + (epochs - varied) * self._steps_of(varied)
        return steps + rest // self._accumulated(epochs)

    def batches_until(self, steps: int) -> int:
        """Number of batches, counted over epochs, that some steps take.

        Args:
            steps: Number of optimizer steps.
        """
        return bisect_left(range(steps * self.batches), steps, key=self.steps_after)

    @property
    def first_validation(self) -> int | None:
        """The batch, counted over epochs from 1, that the first validation follows; None if that depends on time."""
        trainer = self.trainer
        if trainer._val_check_time_interval is not None:  # type: ignore[attr-defined]  # set by Lightning's connector
            return None
        interval: int | float = trainer.val_check_interval
        batch = interval if isinstance(interval, int) else max(1, int(self.batches * interval))
        every = trainer.check_val_every_n_epoch
        return batch if every is None else (every - 1) * self.batches + batch

    def _steps_of(self, epoch: int) -> int:
        return math.ceil(self.batches / self._accumulated(epoch))

    def _accumulated(self, epoch: int) -> int:
        schedule = find_callback(self.trainer, GradientAccumulationScheduler)
        return self.trainer.accumulate_grad_batches if schedule is None else schedule.get_accumulate_grad_batches(epoch)
