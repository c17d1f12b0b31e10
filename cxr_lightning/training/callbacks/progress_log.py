"""Lines in the log on how far a run is."""

import logging
import math
import time
from collections.abc import Iterator
from typing import Any

import pytorch_lightning as pl
from rich import get_console
from torchmetrics import MeanMetric

from cxr_lightning.report.formats import format_number
from cxr_lightning.training.callbacks.history import History
from cxr_lightning.training.callbacks.time_left import Pace, batches_left, seconds_left
from cxr_lightning.utils.console_log import SHOWN_IN_BAR
from cxr_lightning.utils.progress import LOG_INTERVAL_SECONDS, can_draw_bars, format_duration, format_speed
from cxr_lightning.utils.trainer_callbacks import find_callback

_DIGITS = 4
_IN_HISTORY = ("train/loss", "val/loss", "val/auroc")
"""Logged names of what the history has, and so every line at an epoch's end."""

logger = logging.getLogger(__name__)


class ProgressLog(pl.Callback):
    """Log how far the run is, at intervals and after every epoch; only in the process of rank zero.

    Where a progress bar is drawn, the lines are in the log file alone. The loss, for which the device is waited for, is
    read only for these lines.

    Args:
        every_seconds: Seconds between two lines within an epoch; None: only at the end of epochs.

    Raises:
        ValueError: If that is negative.
    """

    def __init__(self, every_seconds: float | None = LOG_INTERVAL_SECONDS) -> None:
        if every_seconds is not None and every_seconds < 0:
            raise ValueError(
                f"Expected `callbacks.progress_log.every_seconds` of at least 0, or null, but got {every_seconds}."
            )
        self.every_seconds = math.inf if every_seconds is None else every_seconds
        self._last_line = self._batch_started = self._validation_started = 0.0
        self._since_line = self._since_epoch_start = Pace()
        self._validation_seconds: float | None = None
        self._has_validated = False
        self._finished_epoch = ""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the timers; Lightning does not start an epoch again that a run is resumed within."""
        self._last_line = time.monotonic()
        self._validation_seconds = None
        self._finished_epoch = ""
        self.on_train_epoch_start(trainer, pl_module)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the timers of the epoch."""
        self._batch_started = time.monotonic()
        self._since_line = self._since_epoch_start = Pace()
        self._has_validated = False

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: object,
        batch: Any,  # noqa: ANN401  # Lightning's type
        batch_idx: int,
    ) -> None:
        """Count the batch's images and time, and log a line if one is due."""
        now = time.monotonic()
        counts = len(batch["image"]) * trainer.world_size, now - self._batch_started
        self._batch_started = now
        self._since_line, self._since_epoch_start = (
            self._since_line.plus(*counts),
            self._since_epoch_start.plus(*counts),
        )
        if not self._is_due(trainer):
            return
        pace, self._since_line = self._since_line, Pace()
        self._log(
            trainer,
            _epoch(trainer),
            f"batch {batch_idx + 1:,} of {trainer.num_training_batches:,}",
            f"step {trainer.global_step:,}",
            _number("loss", mean_train_loss(pl_module)),
            format_speed(pace.images_per_second),
            *self._time_left(trainer, batch_idx + 1, pace),
        )

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the timer of the validation."""
        self._validation_started = time.monotonic()

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: object,
        batch: object,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Log a line if one is due."""
        if self._is_due(trainer):
            batches = f"batch {batch_idx + 1:,} of {trainer.num_val_batches[dataloader_idx]:,}"
            self._log(trainer, _epoch(trainer), f"validation {batches}")

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Measure the duration of the validation."""
        self._batch_started = time.monotonic()
        self._validation_seconds = self._batch_started - self._validation_started
        self._has_validated = True

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log the epoch's row of the history."""
        history = find_callback(trainer, History)
        if history is None or not _is_logging(trainer):
            return
        row = history.rows[-1]
        self._finished_epoch = _epoch(trainer)
        validation = []
        if self._has_validated:
            validation = [_number("val loss", row["val_loss"]), _number("val AUROC", row["val_auroc"])]
        self._log(
            trainer,
            f"{self._finished_epoch} done",
            f"step {trainer.global_step:,}",
            _number("loss", row["train_loss"]),
            *validation,
            *_monitored(trainer, pl_module),
            format_speed(row["images_per_second"]),
            *self._time_left(trainer, int(trainer.num_training_batches), self._since_epoch_start),
        )

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log that the training has stopped early; Lightning decides that after the hooks at an epoch's end."""
        if self._finished_epoch and trainer.should_stop and _is_logging(trainer):
            logger.info("stopped early after %s", self._finished_epoch)

    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the timer of lines."""
        self._last_line = time.monotonic()

    def on_test_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: object,
        batch: object,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Log a line if one is due."""
        if self._is_due(trainer):
            self._log(trainer, f"test batch {batch_idx + 1:,} of {trainer.num_test_batches[dataloader_idx]:,}")

    def _is_due(self, trainer: pl.Trainer) -> bool:
        waited = time.monotonic() - self._last_line
        return waited >= self.every_seconds and _is_logging(trainer) and not trainer.sanity_checking

    def _time_left(self, trainer: pl.Trainer, done: int, pace: Pace) -> Iterator[str]:
        if batches_left(trainer, done) > 0:
            seconds = seconds_left(trainer, done, pace, self._validation_seconds)
            if math.isfinite(seconds):
                yield f"{format_duration(seconds)} left"

    def _log(self, trainer: pl.Trainer, *parts: str) -> None:
        self._last_line = time.monotonic()
        logger.info("%s", ", ".join(parts), extra={SHOWN_IN_BAR: _is_bar_drawn(trainer)})


def mean_train_loss(pl_module: pl.LightningModule) -> float:
    """Mean training loss of the epoch so far on this device, which is waited for; NaN if the model does not keep it."""
    mean = getattr(pl_module, "train_loss", None)
    if not isinstance(mean, MeanMetric):
        return math.nan
    return float(mean.mean_value / mean.weight)


def _is_logging(trainer: pl.Trainer) -> bool:
    return trainer.is_global_zero and not trainer.fast_dev_run  # type: ignore[attr-defined]  # set by Lightning


def _is_bar_drawn(trainer: pl.Trainer) -> bool:
    bar = trainer.progress_bar_callback
    return bar is not None and not getattr(bar, "is_disabled", False) and can_draw_bars(get_console())


def _epoch(trainer: pl.Trainer) -> str:
    last = "" if trainer.max_epochs is None or trainer.max_epochs < 0 else f" of {trainer.max_epochs:,}"
    return f"epoch {trainer.current_epoch + 1:,}{last}"


def _number(name: str, value: float) -> str:
    return f"{name} {format_number(value, _DIGITS)}"


def _monitored(trainer: pl.Trainer, pl_module: pl.LightningModule) -> Iterator[str]:
    """The monitored number, if it is another one than those of the history."""
    name = str(getattr(pl_module, "monitor", ""))
    if name in trainer.callback_metrics and name not in _IN_HISTORY:
        yield _number(name, float(trainer.callback_metrics[name]))
