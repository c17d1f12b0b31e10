"""A progress bar on one line, without waiting for the device after every batch."""

import math
import time
from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import RichProgressBar
from pytorch_lightning.callbacks.progress.rich_progress import CustomBarColumn
from rich import get_console
from rich.progress import ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.table import Column
from rich.text import Text

from cxr_lightning.training.callbacks.progress_log import mean_train_loss
from cxr_lightning.utils.progress import can_draw_bars
from cxr_lightning.utils.text_tables import text_cell

_REFRESHES_PER_SECOND = 10
_MIN_WIDTH = 76
"""Columns of a terminal that has room for all parts of the line; a narrower one gets fewer and shorter parts."""
_TRAIN_LOSS = "train/loss_step"
_NAMES = {_TRAIN_LOSS: "loss", "val/auroc": "val AUROC"}
_NARROW_NAMES = {**_NAMES, "val/auroc": "AUROC"}
_VERSION = "v_num"
"""What Lightning shows of a logger, which says nothing here."""


class ProgressBar(RichProgressBar):
    """A progress bar on one line: that of training, of validation in its place, then of the test.

    The loss, which waits for the device, is read only every half second. Nothing is drawn into a file, which has the
    lines of :class:`ProgressLog`, or in a notebook without ipywidgets.

    Args:
        leave: Whether the bar of a finished epoch stays.
        seconds: Seconds between two readings of the metrics within a training epoch.

    Raises:
        ValueError: If the seconds are below 0.
    """

    def __init__(self, *, leave: bool = True, seconds: float = 0.5) -> None:
        super().__init__(refresh_rate=_REFRESHES_PER_SECOND, leave=leave)
        if not can_draw_bars(get_console()):
            self.disable()
        if seconds < 0:
            raise ValueError(f"Expected `callbacks.progress_bar.seconds` to be at least 0 but got {seconds}.")
        self.seconds = seconds
        self._within_epoch = False
        self._last_read = -math.inf
        self._metrics: dict[str, Any] = {}

    def enable(self) -> None:
        """Draw from now on, if that is possible; Lightning's own callbacks may call it."""
        if can_draw_bars(get_console()):
            super().enable()

    def configure_columns(self, trainer: pl.Trainer) -> list[ProgressColumn]:
        """The parts of the line: epoch, bar, batches, time left, batches per second, metrics."""
        unwrapped = Column(no_wrap=True)
        bar = CustomBarColumn(
            complete_style=self.theme.progress_bar,
            finished_style=self.theme.progress_bar_finished,
            pulse_style=self.theme.progress_bar_pulse,
        )
        return [
            TextColumn("{task.description}", markup=False, table_column=unwrapped),
            bar,  # the one part that shrinks
            _TextPart(_batches),
            TimeRemainingColumn(elapsed_when_finished=True, table_column=unwrapped),
            _TextPart(_speed),
            _TextPart(self._metrics_text),
        ]

    def on_train_batch_end(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401  # Lightning's
        """Advance the bar."""
        self._within_epoch = True
        super().on_train_batch_end(*args, **kwargs)
        self._within_epoch = False

    def on_validation_batch_end(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401  # Lightning's
        """Advance the bar of the validation, in the place of that of the training."""
        self._show_training(False)
        super().on_validation_batch_end(*args, **kwargs)

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Show the bar of the training again."""
        super().on_validation_epoch_end(trainer, pl_module)
        self._show_training(True)

    def get_metrics(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, Any]:
        """The metrics beside the bar, with the mean loss of the epoch so far."""
        now = time.monotonic()
        if not self._within_epoch or now - self._last_read >= self.seconds:
            self._metrics, self._last_read = super().get_metrics(trainer, pl_module), now
            self._metrics.pop(_VERSION, None)
            mean = mean_train_loss(pl_module)
            if _TRAIN_LOSS in self._metrics and math.isfinite(mean):
                self._metrics[_TRAIN_LOSS] = mean
        return self._metrics

    def _update_metrics(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Read the metrics; Lightning's own part for them, which would break the line, stays empty."""
        if self.is_enabled:
            self.get_metrics(trainer, pl_module)

    def _get_train_description(self, current_epoch: int) -> str:
        """The epoch, counted from 1 as in history.csv, as long as the word in its place during validation."""
        last = "" if self.trainer.max_epochs in (None, -1) else f"/{self.trainer.max_epochs}"
        return f"Epoch {current_epoch + 1}{last}".ljust(len(self.validation_description))

    def _show_training(self, shown: bool) -> None:
        if self.progress is not None and self.is_enabled and self.train_progress_bar_id is not None:
            self.progress.update(self.train_progress_bar_id, visible=shown)
            self.refresh()

    def _metrics_text(self, task: Task) -> str:
        if task.id != self.train_progress_bar_id:
            return ""
        names = _NARROW_NAMES if _is_narrow() else _NAMES
        texts = (value if isinstance(value, str) else f"{value:.3f}" for value in self._metrics.values())
        return " ".join(f"{names.get(name, name)} {text}" for name, text in zip(self._metrics, texts, strict=True))


class _TextPart(ProgressColumn):
    """A part of the line that keeps its width."""

    def __init__(self, text: Callable[[Task], str]) -> None:
        super().__init__(table_column=Column(no_wrap=True))
        self.text = text

    def render(self, task: Task) -> Text:
        return text_cell(self.text(task))


def _is_narrow() -> bool:
    return get_console().width < _MIN_WIDTH


def _batches(task: Task) -> str:
    total = "--" if task.total is None or math.isinf(task.total) else f"{task.total:.0f}"
    return f"{task.completed:.0f}/{total}"


def _speed(task: Task) -> str:
    return "" if _is_narrow() or task.speed is None else f"{task.speed:.1f} it/s"
