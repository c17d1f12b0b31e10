"""``last.ckpt``: the checkpoint from which a run can be resumed exactly, whenever it ends."""

import logging
import os
import shutil
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Checkpoint, EarlyStopping, Timer

from cxr_lightning.utils.file_names import LAST_CHECKPOINT, PREVIOUS_CHECKPOINT
from cxr_lightning.utils.io import atomic_path
from cxr_lightning.utils.signals import SignalWatch, Stopped, forget_signal, raise_if_stopped, requeue_slurm_job
from cxr_lightning.utils.trainer_callbacks import callbacks_of

logger = logging.getLogger(__name__)

_SYNC_INTERVAL = 10
"""Batches between two exchanges among the devices on whether to save."""


class LastCheckpoint(Checkpoint):
    """Save at every epoch's end, every few minutes or steps, and when a signal asks the run to end.

    The checkpoint before is kept as ``previous.ckpt``. Nothing is saved during validation: a signal then ends the run
    at once, and it is resumed from the last save.

    Args:
        dirpath: Folder of the checkpoint.
        every_minutes: Minutes between two saves within an epoch; None: only at the end of epochs.
        every_steps: Batches of an epoch between two saves; None: only at the end of epochs.

    Attributes:
        path: Path of the checkpoint.
        stopped_early: Whether training had stopped early, before the last epoch, when the run was saved.
        stays_stopped: Whether a resumed training is not to go on.

    Raises:
        ValueError: If an interval is not positive.
    """

    def __init__(self, dirpath: str, every_minutes: float | None = 10, every_steps: int | None = None) -> None:
        for name, value in (("every_minutes", every_minutes), ("every_steps", every_steps)):
            if value is not None and value <= 0:
                raise ValueError(f"Expected `callbacks.last_checkpoint.{name}` above 0, or null, but got {value}.")
        self.path = Path(dirpath) / LAST_CHECKPOINT
        self.every_minutes = every_minutes
        self.every_steps = every_steps
        self.stopped_early = self.stays_stopped = False
        self._stopped_by: list[str] = []
        self._signals = SignalWatch()
        self._last_save = time.monotonic()
        self._common_batches = self._validated_batches = 0

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Do not resume a training that had stopped early, unless it may go on."""
        trainer.should_stop = trainer.should_stop or self.stays_stopped

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Watch for signals; one that was received before ends the run at its first batch."""
        self._signals.start()
        self._last_save = time.monotonic()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """End the run if a signal was received in the epoch before, which is saved."""
        if signum := self._received_signal(trainer):
            self._end_run(trainer, signum)

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,  # noqa: ANN401  # Lightning's type
        batch: Any,  # noqa: ANN401
        batch_idx: int,
    ) -> None:
        """Save if a save is due and the run can be resumed exactly: after an optimizer step, not before validation."""
        done = batch_idx + 1
        if done % trainer.accumulate_grad_batches or done >= trainer.num_training_batches:
            return
        if trainer.val_check_batch and done % trainer.val_check_batch == 0:
            return
        steps_are_due = self.every_steps is not None and done % self.every_steps == 0
        if trainer.world_size > 1 and done % _SYNC_INTERVAL and not steps_are_due:
            return
        signum = self._received_signal(trainer)
        if signum or steps_are_due or trainer.strategy.reduce_boolean_decision(self._is_save_due(), all=False):
            self._save(trainer)
        if signum:
            self._end_run(trainer, signum)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Determine the number of batches that all devices have; some devices have one more."""
        num_batches = torch.tensor(sum(map(int, trainer.num_val_batches)), device=trainer.strategy.root_device)
        self._common_batches = int(trainer.strategy.reduce(num_batches, reduce_op="min"))
        self._validated_batches = 0

    def on_validation_batch_end(self, trainer: pl.Trainer, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        """End the run if a signal was received."""
        self._validated_batches += 1
        is_exchanged = self._validated_batches % _SYNC_INTERVAL == 0 and self._validated_batches <= self._common_batches
        if (trainer.world_size == 1 or is_exchanged) and (signum := self._received_signal(trainer)):
            self._end_run(trainer, signum)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save the checkpoint; Lightning calls checkpoint callbacks last."""
        self._save(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """End the run if a signal was received in the last epoch; training is complete, testing is not."""
        if signum := self._received_signal(trainer):
            self._end_run(trainer, signum)
        self._signals.stop()
        if trainer.is_global_zero:
            self.path.with_name(PREVIOUS_CHECKPOINT).unlink(missing_ok=True)

    def on_test_batch_end(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        """End the run if a signal was received whose exception was lost."""
        raise_if_stopped()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Restore the signals' handlers."""
        self._signals.stop()

    def state_dict(self) -> dict[str, Any]:
        """Whether training has stopped early, and which callbacks have stopped it."""
        return {"stopped_early": self.stopped_early, "stopped_by": self._stopped_by}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore whether training had stopped early."""
        self.stopped_early = state_dict["stopped_early"]

    def _is_save_due(self) -> bool:
        return self.every_minutes is not None and time.monotonic() - self._last_save >= 60 * self.every_minutes

    def _received_signal(self, trainer: pl.Trainer) -> int:
        """The signal that this or another device's process received; 0 if none did."""
        received = self._signals.received or 0
        if trainer.world_size == 1:
            return received
        return int(
            trainer.strategy.reduce(torch.tensor(received, device=trainer.strategy.root_device), reduce_op="max")
        )

    def _save(self, trainer: pl.Trainer) -> None:
        if trainer.fast_dev_run:  # type: ignore[attr-defined]  # set by Lightning's connector
            return
        self.stopped_early = trainer.should_stop
        self._stopped_by = _exhausted_callbacks(trainer) if trainer.should_stop else []
        if trainer.is_global_zero and self.path.is_file():
            _hard_link(self.path, self.path.with_name(PREVIOUS_CHECKPOINT))
        trainer.save_checkpoint(self.path, weights_only=False)
        self._last_save = time.monotonic()

    def _end_run(self, trainer: pl.Trainer, signum: int) -> NoReturn:
        handler = self._signals.launcher_handler
        self._signals.stop()
        if not trainer.is_global_zero:
            forget_signal()
            raise SystemExit(0)  # the exit status is that of the first process
        if handler is not None:
            handler(signum, None)
        elif signum == getattr(signal, "SIGUSR1", None):
            requeue_slurm_job()
        raise Stopped(signum, str(self.path) if self.path.is_file() else "")


def is_exhausted(callback: pl.Callback, state: Mapping[str, Any]) -> bool:
    """Whether a callback ends the training for want of patience or time, with its configured limit.

    Args:
        callback: Any callback.
        state: Its state, now or in a checkpoint.
    """
    if isinstance(callback, EarlyStopping):
        return bool(state["wait_count"] >= callback.patience)
    if isinstance(callback, Timer) and callback._duration is not None:  # Lightning shows what remains alone
        return bool(state["time_elapsed"]["train"] >= callback._duration)
    return False


def _exhausted_callbacks(trainer: pl.Trainer) -> list[str]:
    callbacks = callbacks_of(trainer, pl.Callback)
    return [type(callback).__name__ for callback in callbacks if is_exhausted(callback, callback.state_dict())]


def _hard_link(path: Path, target: Path) -> None:
    """Create a hard link to a file, which keeps the file when ``path`` is replaced; a copy where links do not exist."""
    with atomic_path(target, sync=False) as temporary:
        try:
            os.link(path, temporary)
        except OSError:  # a file system without links
            shutil.copyfile(path, temporary)
