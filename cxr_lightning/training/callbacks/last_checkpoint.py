"""``last.ckpt``: what a run can be continued from exactly, whenever it ends."""

import logging
import os
import shutil
import signal
import time
from pathlib import Path
from typing import Any, NoReturn

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Checkpoint

from cxr_lightning.training.run_folder import LAST_FILE, PREVIOUS_FILE
from cxr_lightning.utils.signals import SignalWatch, Stopped, ask_slurm_for_another_start

logger = logging.getLogger(__name__)

_AGREE_EVERY = 10
"""Batches between two questions to the other devices whether to save."""


class LastCheckpoint(Checkpoint):
    """Saves at every epoch's end, every few minutes or steps, and when a signal asks the run to end.

    The checkpoint before is kept as ``previous.ckpt``. While a network is validated nothing is saved: a signal then
    ends the run at once, and it goes on from the last save.

    Args:
        dirpath: The folder.
        every_minutes: Between two saves within an epoch; None for none.
        every_steps: Batches of an epoch between two saves; None for none.

    Attributes:
        path: The file.
        stopped_early: Whether training had ended by itself, before the last epoch, when the run was saved.

    Raises:
        ValueError: If a distance is not positive.
    """

    def __init__(self, dirpath: str, every_minutes: float | None = 10, every_steps: int | None = None) -> None:
        for name, value in (("every_minutes", every_minutes), ("every_steps", every_steps)):
            if value is not None and value <= 0:
                raise ValueError(f"Expected `callbacks.last_checkpoint.{name}` above 0, or null, but got {value}.")
        self.path = Path(dirpath) / LAST_FILE
        self.every_minutes = every_minutes
        self.every_steps = every_steps
        self.stopped_early = False
        self._signals = SignalWatch()
        self._saved = time.monotonic()
        self._common_batches = self._validated = 0

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """A training that had ended by itself is not continued."""
        trainer.should_stop = self.stopped_early

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Watch for signals."""
        self._signals.start()
        self._saved = time.monotonic()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """End after an epoch in which a signal came; its end is saved."""
        if signum := self._received(trainer):
            self._end(trainer, signum)

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,  # noqa: ANN401  # Lightning's
        batch: Any,  # noqa: ANN401
        batch_idx: int,
    ) -> None:
        """Save if it is time, where a run can go on exactly: after a step of the optimizer, not before validation."""
        done = batch_idx + 1
        if done % trainer.accumulate_grad_batches or done >= trainer.num_training_batches:
            return
        if trainer.val_check_batch and done % trainer.val_check_batch == 0:
            return
        stepped = self.every_steps is not None and done % self.every_steps == 0
        if trainer.world_size > 1 and done % _AGREE_EVERY and not stepped:
            return
        signum = self._received(trainer)
        if signum or stepped or trainer.strategy.reduce_boolean_decision(self._is_time(), all=False):
            self._save(trainer)
        if signum:
            self._end(trainer, signum)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Find how many batches every device has; some have one more."""
        own = torch.tensor(sum(map(int, trainer.num_val_batches)), device=trainer.strategy.root_device)
        self._common_batches = int(trainer.strategy.reduce(own, reduce_op="min"))
        self._validated = 0

    def on_validation_batch_end(self, trainer: pl.Trainer, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        """End."""
        self._validated += 1
        asks = self._validated % _AGREE_EVERY == 0 and self._validated <= self._common_batches
        if (trainer.world_size == 1 or asks) and (signum := self._received(trainer)):
            self._end(trainer, signum)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save; Lightning calls checkpoint callbacks last."""
        self._save(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """End if a signal came in the last epoch; training is complete, testing is not."""
        if signum := self._received(trainer):
            self._end(trainer, signum)
        self._signals.stop()
        if trainer.is_global_zero:
            self.path.with_name(PREVIOUS_FILE).unlink(missing_ok=True)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Leave signals alone."""
        self._signals.stop()

    def state_dict(self) -> dict[str, Any]:
        """Whether training has ended by itself."""
        return {"stopped_early": self.stopped_early}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Likewise."""
        self.stopped_early = state_dict["stopped_early"]

    def _is_time(self) -> bool:
        return self.every_minutes is not None and time.monotonic() - self._saved >= 60 * self.every_minutes

    def _received(self, trainer: pl.Trainer) -> int:
        """The signal that this or another device's process got; 0 if none did."""
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
        if trainer.is_global_zero and self.path.is_file():
            _keep(self.path, self.path.with_name(PREVIOUS_FILE))
        trainer.save_checkpoint(self.path, weights_only=False)
        self._saved = time.monotonic()

    def _end(self, trainer: pl.Trainer, signum: int) -> NoReturn:
        waiting = self._signals.waiting
        self._signals.stop()
        if not trainer.is_global_zero:
            raise SystemExit(0)  # the first process has a status for all
        if waiting is not None:
            waiting(signum, None)
        elif signum == getattr(signal, "SIGUSR1", None):
            ask_slurm_for_another_start()
        raise Stopped(signum, str(self.path) if self.path.is_file() else "")


def _keep(path: Path, kept: Path) -> None:
    """Give a file a second name, which stays when the first is given to another file."""
    unfinished = kept.with_suffix(".tmp")
    unfinished.unlink(missing_ok=True)
    try:
        os.link(path, unfinished)
    except OSError:  # a file system without links
        shutil.copyfile(path, unfinished)
    unfinished.replace(kept)
