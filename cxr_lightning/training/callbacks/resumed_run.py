"""What a resumed run takes from its checkpoint, and what from its own configuration."""

import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import EarlyStopping

from cxr_lightning.training.restored_state import check_optimization
from cxr_lightning.training.run_settings import RunSettings, write_settings
from cxr_lightning.utils.distributed import is_rank_zero
from cxr_lightning.utils.file_names import CHECKPOINT_FOLDER, SUMMARY_FILE
from cxr_lightning.utils.trainer_callbacks import callbacks_of

logger = logging.getLogger(__name__)

_NO_BEST: dict[str, Any] = {
    "best_model_score": None,
    "best_model_path": "",
    "best_k_models": {},
    "kth_best_model_path": "",
    "kth_value": None,
    "last_model_path": "",
}
"""State of Lightning's ModelCheckpoint before it has kept a checkpoint."""
_PATHS = ("best_model_path", "kth_best_model_path", "last_model_path")


class ResumedRun(pl.Callback):
    """Resume a run in the folder where it is now, and with the patience that is configured now.

    Lightning forgets the best checkpoint of a run whose folder was moved or copied, so that a worse one would replace
    it, and goes on with the patience of before.

    Args:
        folder: The run's folder.
        settings: The run's settings, which are recorded when its training starts.

    Attributes:
        resumed_from: The checkpoint that the training is about to be resumed from, and its content; None for none.
    """

    def __init__(self, folder: Path, settings: RunSettings) -> None:
        self.folder = folder
        self.settings = settings
        self.resumed_from: tuple[str, Mapping[str, Any]] | None = None
        self._patience: dict[EarlyStopping, int] = {}

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Note the configured patience, before the checkpoint's is restored."""
        self._patience = {callback: callback.patience for callback in callbacks_of(trainer, EarlyStopping)}

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Adapt the states of callbacks that keep checkpoints to the run's folder."""
        states: dict[str, dict[str, Any]] = checkpoint["callbacks"]
        for key in {callback.state_key for callback in callbacks_of(trainer, pl.Callback)} & set(states):
            state, former = states[key], states[key].get("dirpath")
            if isinstance(former, str) and "best_model_path" in state:
                states[key] = self._adapted(state, Path(former), training=trainer.training)

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Check the optimizers' states, which are restored after this; restore the configured patience."""
        if self.resumed_from is not None:
            check_optimization(*self.resumed_from, trainer)
            self.resumed_from = None
        for callback, patience in self._patience.items():
            callback.patience = patience

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Record the run's settings; from here on the summary of an earlier training in this folder is outdated."""
        if trainer.is_global_zero:
            write_settings(self.folder, self.settings)
            (self.folder / SUMMARY_FILE).unlink(missing_ok=True)

    def _adapted(self, state: Mapping[str, Any], former: Path, *, training: bool) -> dict[str, Any]:
        """The state without files that are none of that callback's, and with the others in the run's folder."""
        if not _keeps_own_files(state, former):
            if training:
                logger.warning("'%s' is no checkpoint of that run: the best one is chosen from here on", former)
            return {**state, **_NO_BEST}
        is_of_run = former.name == CHECKPOINT_FOLDER
        return self._moved(state, former, training=training) if is_of_run else dict(state)

    def _moved(self, state: Mapping[str, Any], former: Path, *, training: bool) -> dict[str, Any]:
        """The state with the checkpoints in the run's folder; without scores if the best one is not there."""
        folder = (self.folder / CHECKPOINT_FOLDER).absolute()
        if folder == former:
            return dict(state)
        best = Path(state["best_model_path"] or "")
        if training and is_rank_zero() and best.is_file() and not (folder / best.name).exists():
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(best, folder / best.name)
        moved: dict[str, Any] = _replace_folder(state, str(former), str(folder))
        if training and best.name and not (best.is_file() or (folder / best.name).is_file()):
            logger.warning("'%s' is not there any more: the best checkpoint is chosen from here on", best)
            return {**moved, **_NO_BEST}
        return moved


def _keeps_own_files(state: Mapping[str, Any], folder: Path) -> bool:
    """Whether a state of Lightning's ModelCheckpoint names checkpoints in a folder only: it copies and removes them."""
    kept = state.get("best_k_models") or {}
    paths = [*kept, *(state.get(name) or "" for name in _PATHS)]
    return all(isinstance(path, str) and (not path or _is_checkpoint_in(Path(path), folder)) for path in paths)


def _is_checkpoint_in(path: Path, folder: Path) -> bool:
    return path.suffix == ".ckpt" and ".." not in path.parts and path.is_relative_to(folder)


def _replace_folder(value: Any, former: str, current: str) -> Any:  # noqa: ANN401  # any value in a checkpoint
    """The value with the folder of paths in it replaced."""
    if isinstance(value, Mapping):
        return {
            _replace_folder(key, former, current): _replace_folder(item, former, current) for key, item in value.items()
        }
    if isinstance(value, str) and (value == former or value.startswith(f"{former}/")):
        return current + value[len(former) :]
    return value
