"""Random numbers of a training step, from its place in the run."""

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
