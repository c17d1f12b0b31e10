"""A callback of Lightning."""

from pathlib import Path

import pytorch_lightning as pl


class EpochDiary(pl.Callback):
    """Write the validation loss of every epoch to ``diary.txt``.

    Args:
        folder: The run's folder.
    """

    def __init__(self, folder: str) -> None:
        self.path = Path(folder) / "diary.txt"

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Append a line."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(f"epoch {trainer.current_epoch}: {float(trainer.callback_metrics['val/loss']):.6f}\n")
