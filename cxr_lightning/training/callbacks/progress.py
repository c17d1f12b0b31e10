"""Lightning's progress bar, without waiting for the device."""

import math
import time
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import RichProgressBar


class ProgressBar(RichProgressBar):
    """Lightning's, which would read the loss from the device after every batch, and wait for the device each time.

    Args:
        leave: Whether a finished epoch's bar stays.
        seconds: Between two readings while an epoch is trained.
    """

    def __init__(self, *, leave: bool = True, seconds: float = 0.5) -> None:
        super().__init__(leave=leave)
        self.seconds = seconds
        self._within_epoch = False
        self._read = -math.inf
        self._metrics: dict[str, Any] = {}

    def on_train_batch_end(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401  # Lightning's
        """Move the bar."""
        self._within_epoch = True
        super().on_train_batch_end(*args, **kwargs)
        self._within_epoch = False

    def get_metrics(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, Any]:
        """The numbers beside the bar."""
        now = time.monotonic()
        if not self._within_epoch or now - self._read >= self.seconds:
            self._metrics, self._read = super().get_metrics(trainer, pl_module), now
        return self._metrics
