"""Callbacks beside Lightning's own: the run's history with its curve, and snapshots."""

import csv
import math
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ModelCheckpoint, RichProgressBar

from cxr_lightning.report.curves import loss_curve

HISTORY_FILE = "history.csv"
CURVE_FILE = "loss_curve.png"
_LOGGED = {"train_loss": "train/loss", "val_loss": "val/loss", "val_auroc": "val/auroc"}
_COLUMNS = ("epoch", *_LOGGED, "learning_rate", "seconds", "images_per_second")


def snapshots(dirpath: str, every_n_epochs: int | None = None) -> ModelCheckpoint | None:
    """A callback that keeps a checkpoint every few epochs; None if ``every_n_epochs`` is None.

    Args:
        dirpath: Folder to write ``epoch_005.ckpt`` and so on to.
        every_n_epochs: Distance.

    Raises:
        ValueError: If the distance is below 1.
    """
    if every_n_epochs is None:
        return None
    if every_n_epochs < 1:
        raise ValueError(f"Expected `callbacks.snapshots.every_n_epochs` to be at least 1 but got {every_n_epochs}.")
    return _Snapshots(dirpath, every_n_epochs=every_n_epochs, save_top_k=-1, auto_insert_metric_name=False)


class _Snapshots(ModelCheckpoint):
    """Names a file by the number of finished epochs, as ``history.csv`` counts them."""

    def format_checkpoint_name(self, metrics: dict[str, Any], *args: Any, **kwargs: Any) -> str:  # noqa: ANN401
        finished = int(metrics["epoch"]) + 1
        return str(Path(self.dirpath or ".") / f"epoch_{finished:03d}.ckpt")


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


class History(pl.Callback):
    """Writes ``history.csv`` and ``loss_curve.png`` after every epoch; a resumed run goes on in them.

    Args:
        folder: The run's folder.

    Attributes:
        rows: One per finished epoch: ``epoch`` (from 1), losses, AUROC, learning rate of the epoch's end, seconds of
            the epoch and training images per second (of training alone); NaN where there is no number.
        title: Of the figure.
        constant_loss: Validation loss of the best constant prediction, for the figure.
    """

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)
        self.rows: list[dict[str, float]] = []
        self.title = ""
        self.constant_loss: float | None = None
        self._started = self._batch_started = 0.0
        self._images = 0
        self._training_seconds = 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Take over the rows of the epochs before the one that starts."""
        path = self.folder / HISTORY_FILE
        earlier = read_history(path) if trainer.current_epoch > 0 and path.is_file() else []
        self.rows = [row for row in earlier if row["epoch"] <= trainer.current_epoch]

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        self._started = time.perf_counter()
        self._images, self._training_seconds = 0, 0.0
        self._batch_started = self._started

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: object,
        batch: Any,  # noqa: ANN401  # Lightning's type
        batch_idx: int,
    ) -> None:
        """Count the batch's images on all devices, and the time since the last batch (loading included)."""
        now = time.perf_counter()
        self._training_seconds += now - self._batch_started
        self._batch_started = now
        self._images += len(batch["image"]) * trainer.world_size

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Add the epoch's row and write both files."""
        logged = {name: float(trainer.callback_metrics.get(key, math.nan)) for name, key in _LOGGED.items()}
        rate = float(trainer.optimizers[0].param_groups[0]["lr"])
        self.rows.append(
            {
                "epoch": trainer.current_epoch + 1,
                **logged,
                "learning_rate": rate,
                "seconds": time.perf_counter() - self._started,
                "images_per_second": self._images / max(self._training_seconds, 1e-9),
            }
        )
        if trainer.is_global_zero:
            write_history(self.rows, self.folder / HISTORY_FILE)
            loss_curve(self.rows, self.folder / CURVE_FILE, title=self.title, constant_loss=self.constant_loss)


def write_history(rows: list[dict[str, float]], path: Path) -> None:
    """Write the rows; the old file stays until the new one is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".tmp")
    with unfinished.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, _COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    unfinished.replace(path)


def read_history(path: Path) -> list[dict[str, float]]:
    """The rows of a ``history.csv``.

    Raises:
        ValueError: If it is not one.
    """
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        if tuple(reader.fieldnames or ()) != _COLUMNS:
            raise ValueError(
                f"Expected the columns {list(_COLUMNS)} in '{path}' but got {reader.fieldnames}. Delete it."
            )
        rows = [{name: float(value) for name, value in row.items()} for row in reader]
    return [{**row, "epoch": int(row["epoch"])} for row in rows]
