"""Callbacks that keep a run reproducible: seeds per training step, and the same settings in all processes."""

from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch


class StepSeeds(pl.Callback):
    """Seed torch before every training step from the run's seed, the epoch, the batch and the device.

    A resumed run thus draws the same random numbers (of dropout) as an uninterrupted one, without saving any state.

    Args:
        seed: The run's seed.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: object, batch_idx: int
    ) -> None:
        """Seed torch for this step."""
        entropy = (self.seed, trainer.current_epoch, batch_idx, trainer.global_rank)
        torch.manual_seed(int(np.random.SeedSequence(entropy).generate_state(1)[0]))


class SameSettings(pl.Callback):
    """Stop a run whose processes have different settings, or resume from different checkpoints.

    Args:
        settings: All settings as text.
    """

    def __init__(self, settings: str) -> None:
        self.settings = settings

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Compare the settings and the checkpoint of all processes."""
        if trainer.world_size == 1:
            return
        gathered: list[Any] = [None] * trainer.world_size
        torch.distributed.all_gather_object(gathered, (self.settings, str(trainer.ckpt_path)))
        if len(set(gathered)) > 1:
            raise ValueError(
                f"Expected the same settings and checkpoint in all {trainer.world_size} processes but they differ. "
                "Start all of them with the same command and environment, and folders that all of them see."
            )
