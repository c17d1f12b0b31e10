"""What makes processes and steps of a run agree: random numbers from a step's place, and one configuration."""

from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch


class StepSeeds(pl.Callback):
    """Before every step, seeds what dropout draws from by (seed, epoch, batch, device).

    So a resumed run draws what an uninterrupted one would have drawn, and no state need be saved.

    Args:
        seed: The run's.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: object, batch_idx: int
    ) -> None:
        """Seed."""
        place = (self.seed, trainer.current_epoch, batch_idx, trainer.global_rank)
        torch.manual_seed(int(np.random.SeedSequence(place).generate_state(1)[0]))


class SameSettings(pl.Callback):
    """Stops a run whose processes have been given different settings, or go on from different checkpoints.

    Args:
        settings: Any text of them.
    """

    def __init__(self, settings: str) -> None:
        self.settings = settings

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Compare."""
        if trainer.world_size == 1:
            return
        every: list[Any] = [None] * trainer.world_size
        torch.distributed.all_gather_object(every, (self.settings, str(trainer.ckpt_path)))
        if len(set(every)) > 1:
            raise ValueError(
                f"Expected the same settings and checkpoint in all {trainer.world_size} processes but they differ. "
                "Start all of them with the same command and environment, and folders that all of them see."
            )
