"""Checkpoints of the best epoch, and of every few epochs."""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import Tensor


class BestCheckpoint(ModelCheckpoint):
    """Lightning's ModelCheckpoint, without taking an epoch with an undefined monitored metric for the best."""

    def check_monitor_top_k(self, trainer: pl.Trainer, current: Tensor | None = None) -> bool:
        """Whether the monitored metric is defined and better than before."""
        if current is None or not math.isfinite(float(current)):
            return False
        return super().check_monitor_top_k(trainer, current)


def best_checkpoint_never_kept(callbacks: Mapping[str, pl.Callback], steps: float) -> Iterator[str]:
    """Describe a number of steps between two best checkpoints that the run does not reach.

    Args:
        callbacks: Callbacks of the trainer by their dotted keys.
        steps: Number of optimizer steps of the run; infinite where it is not known.
    """
    for key, callback in callbacks.items():
        # Lightning offers no other access to it.
        if isinstance(callback, BestCheckpoint) and (every := callback._every_n_train_steps) > steps:
            yield (
                f"Expected the best checkpoint to be kept within the {int(steps)} steps of the training but "
                f"`{key}.every_n_train_steps` is {every}. Lower it, or leave it out to choose among epochs."
            )


def snapshots(dirpath: str, every_n_epochs: int | None = None) -> ModelCheckpoint | None:
    """A callback that keeps a checkpoint every few epochs; None if ``every_n_epochs`` is None.

    Args:
        dirpath: Folder to write ``epoch_005.ckpt`` and so on to.
        every_n_epochs: Epochs from one checkpoint to the next.

    Raises:
        ValueError: If ``every_n_epochs`` is below 1.
    """
    if every_n_epochs is None:
        return None
    if every_n_epochs < 1:
        raise ValueError(f"Expected `callbacks.snapshots.every_n_epochs` to be at least 1 but got {every_n_epochs}.")
    return _Snapshots(dirpath, every_n_epochs=every_n_epochs, save_top_k=-1, auto_insert_metric_name=False)


class _Snapshots(ModelCheckpoint):
    """Name files by the number of finished epochs, as ``history.csv`` counts them."""

    def format_checkpoint_name(self, metrics: dict[str, Any], *args: Any, **kwargs: Any) -> str:  # noqa: ANN401
        finished = int(metrics["epoch"]) + 1
        return str(Path(self.dirpath or ".") / f"epoch_{finished:03d}.ckpt")
