"""Lightning's progress bar, without waiting for the device after every batch."""

import math
import time
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import RichProgressBar
from rich import get_console

from cxr_lightning.utils.progress import can_draw_bars


class ProgressBar(RichProgressBar):
    """Lightning's progress bar, reading the loss, which waits for the device, only every half second.

    Nothing is drawn in a notebook without ipywidgets.

    Args:
        leave: Whether the bar of a finished epoch stays.
        seconds: Seconds between two readings of the metrics within a training epoch.
    """

    def __init__(self, *, leave: bool = True, seconds: float = 0.5) -> None:
        super().__init__(leave=leave)
        if not can_draw_bars(get_console()):
            self.disable()
        self.seconds = seconds
        self._within_epoch = False
        self._last_read = -math.inf
        self._metrics: dict[str, Any] = {}

    def on_train_batch_end(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401  # Lightning's
        """Advance the bar."""
        self._within_epoch = True
        super().on_train_batch_end(*args, **kwargs)
        self._within_epoch = False

    def get_metrics(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, Any]:
        """The metrics beside the bar."""
        now = time.monotonic()
        if not self._within_epoch or now - self._last_read >= self.seconds:
            self._metrics, self._last_read = super().get_metrics(trainer, pl_module), now
        return self._metrics
