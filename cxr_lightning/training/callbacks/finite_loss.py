"""Stop a run at a loss that is NaN or infinite, before the diverged network is saved."""

from collections import deque
from pathlib import Path
from typing import Any, NamedTuple

import pytorch_lightning as pl
import torch
from torch import Tensor

from cxr_lightning.utils.csv_files import TableWriter
from cxr_lightning.utils.file_names import BATCH_FILE
from cxr_lightning.utils.io import atomic_write_text

_CHECK_INTERVAL = 20
"""Batches between two checks where a check blocks until a device or other processes are done."""


class _Step(NamedTuple):
    epoch: int
    batch: int
    loss: Tensor
    rows: Tensor


class FiniteLoss(pl.Callback):
    """Stop at a loss that is NaN or infinite, with the images of its batch listed in ``nonfinite_batch.csv``.

    Args:
        folder: The run's folder.
    """

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)
        self._steps: deque[_Step] = deque(maxlen=_CHECK_INTERVAL)

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,  # noqa: ANN401  # Lightning's type
        batch: Any,  # noqa: ANN401
        batch_idx: int,
    ) -> None:
        """Record the batch's loss, and check the recorded losses when a check is due."""
        if outputs is None:
            return
        self._steps.append(_Step(trainer.current_epoch, batch_idx, outputs["loss"], batch["index"]))
        if len(self._steps) == _CHECK_INTERVAL or not _is_blocking(trainer, pl_module):
            self._check_losses(trainer)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Check the losses before a diverged network is validated."""
        self._check_losses(trainer)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Check the losses before a diverged network is saved; Lightning calls this on all devices."""
        self._check_losses(trainer)

    def _check_losses(self, trainer: pl.Trainer) -> None:
        if not self._steps and trainer.world_size == 1:
            return
        losses = [step.loss for step in self._steps]
        finite = bool(torch.stack(losses).isfinite().all()) if losses else True
        if trainer.strategy.reduce_boolean_decision(finite, all=True):
            self._steps.clear()
            return
        if finite:  # on this device
            raise ValueError("Expected finite losses but another device's is not. See the message of its process.")
        step = next(step for step in self._steps if not step.loss.isfinite())
        path = self._write_batch(trainer, step)
        raise ValueError(
            f"Expected a finite loss but it is {float(step.loss)} at batch {step.batch + 1} of epoch {step.epoch + 1}. "
            f"Its images are listed in '{path}'. Look at them, or lower `optimizer.lr`."
        )

    def _write_batch(self, trainer: pl.Trainer, step: _Step) -> Path:
        table = trainer.datamodule.rows("train")  # type: ignore[attr-defined]  # set by Lightning
        rows = table.iloc[step.rows.cpu().numpy()]
        suffix = f"_{trainer.global_rank}" if trainer.global_rank else ""
        path = self.folder / f"{Path(BATCH_FILE).stem}{suffix}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write_text(path) as file:
            TableWriter(file).writerows(
                [("epoch", "batch", "image_id"), *((step.epoch + 1, step.batch + 1, name) for name in rows["image_id"])]
            )
        return path


def _is_blocking(trainer: pl.Trainer, pl_module: pl.LightningModule) -> bool:
    """Whether a check blocks until a device or other processes are done."""
    return pl_module.device.type != "cpu" or trainer.world_size > 1
