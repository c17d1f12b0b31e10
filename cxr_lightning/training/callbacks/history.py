"""The run's history: a row per epoch, and the loss curve."""

import math
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pydantic import TypeAdapter, ValidationError

from cxr_lightning.report.loss_curve import loss_curve
from cxr_lightning.training.state_structure import RestoredStateError
from cxr_lightning.utils.csv_files import TableWriter
from cxr_lightning.utils.file_names import CURVE_FILE, HISTORY_FILE
from cxr_lightning.utils.io import atomic_write_text
from cxr_lightning.utils.typed_values import describe_errors

_LOGGED = {"train_loss": "train/loss", "val_loss": "val/loss", "val_auroc": "val/auroc"}
_COLUMNS = ("epoch", *_LOGGED, "learning_rate", "seconds", "images_per_second")
_ROWS = TypeAdapter(list[dict[str, int | float]])


class History(pl.Callback):
    """Write ``history.csv`` and ``loss_curve.png`` after every epoch; a resumed run extends them.

    Args:
        folder: The run's folder.

    Attributes:
        rows: One per finished epoch: ``epoch`` (from 1), losses, AUROC, learning rate at the epoch's end, seconds of
            the epoch and training images per second (of training alone); NaN where undefined.
        title: Title of the figure.
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

    def was_defined(self, metric: str) -> bool | None:
        """Whether a metric was defined in some epoch; None if it is none of the history's.

        Args:
            metric: Logged name of the metric.
        """
        name = next((name for name, logged in _LOGGED.items() if logged == metric), None)
        return None if name is None else any(math.isfinite(row[name]) for row in self.rows)

    def state_dict(self) -> dict[str, Any]:
        """The rows so far."""
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the rows of the run that is resumed.

        Raises:
            RestoredStateError: If they are no rows of a history.
        """
        try:
            self.rows = _ROWS.validate_python(state_dict["rows"], strict=True)
        except ValidationError as error:
            raise RestoredStateError(
                f"Expected the history of a run in the checkpoint but in it, {describe_errors(error)}. Copy it again."
            ) from error
        if not all(set(_COLUMNS) <= set(row) for row in self.rows):
            raise RestoredStateError(f"Expected a history with {', '.join(_COLUMNS)} in the checkpoint. Copy it again.")

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the timers; Lightning does not start an epoch again that a run is resumed within."""
        self.on_train_epoch_start(trainer, pl_module)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the timers of the epoch."""
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

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Leave the time of a validation within the epoch out of that of training."""
        self._batch_started = time.perf_counter()

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
    with atomic_write_text(path) as file:
        TableWriter(file).writerows([_COLUMNS, *([row.get(name) for name in _COLUMNS] for row in rows)])
