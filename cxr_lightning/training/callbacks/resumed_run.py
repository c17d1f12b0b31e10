"""What a resumed run takes from its checkpoint, and what from its own configuration."""

import logging
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint

from cxr_lightning.checkpoints.read import read_checkpoint
from cxr_lightning.training.restored_state import check_optimization
from cxr_lightning.training.run_settings import RunSettings, write_settings
from cxr_lightning.utils.distributed import is_rank_zero
from cxr_lightning.utils.file_names import METADATA_KEY, SUMMARY_FILE
from cxr_lightning.utils.io import atomic_path
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
        self._copies: list[tuple[Path, Path]] = []

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Note the configured patience, before the checkpoint's is restored."""
        self._patience = {callback: callback.patience for callback in callbacks_of(trainer, EarlyStopping)}

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Adapt the states of callbacks that keep checkpoints to the run's folder."""
        states: dict[str, dict[str, Any]] = checkpoint["callbacks"]
        for callback in callbacks_of(trainer, ModelCheckpoint):
            state = states.get(callback.state_key)
            if state is not None:
                states[callback.state_key] = self._adapted(state, callback, checkpoint, training=trainer.training)

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Check the optimizers' states, which are restored after this; restore the configured patience."""
        if self.resumed_from is not None:
            check_optimization(*self.resumed_from, trainer)
            self.resumed_from = None
        for source, target in self._copies:  # once nothing is refused any more
            target.parent.mkdir(parents=True, exist_ok=True)
            with atomic_path(target) as temporary:
                shutil.copyfile(source, temporary)
        self._copies.clear()
        for callback, patience in self._patience.items():
            callback.patience = patience

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Record the run's settings; from here on the summary of an earlier training in this folder is outdated."""
        if trainer.is_global_zero:
            write_settings(self.folder, self.settings)
            (self.folder / SUMMARY_FILE).unlink(missing_ok=True)

    def _adapted(
        self, state: Mapping[str, Any], callback: ModelCheckpoint, checkpoint: Mapping[str, Any], *, training: bool
    ) -> dict[str, Any]:
        """A callback's state with its files in the run's folder; without them if they are none of this training."""
        folder = callback.dirpath
        former = str(state.get("dirpath"))
        is_folder = Path(former).is_absolute() and os.path.normpath(former) == former
        if folder is None or not is_folder or not _keeps_own_files(state, Path(former), callback):
            moved, problem = {**state, "dirpath": folder}, "not all checkpoints that it names are the callback's own"
        else:
            moved = _replace_folder(state, former, str(folder))
            best = state["best_model_path"] if training else ""
            problem = best and self._take_best(Path(best), folder / Path(best).relative_to(former), checkpoint)
        if not problem:
            return dict(moved)
        if training:
            logger.warning("%s: the best checkpoint is chosen from here on", problem)
        return {**moved, **_NO_BEST}

    def _take_best(self, best: Path, target: Path, checkpoint: Mapping[str, Any]) -> str:
        """Note that a best checkpoint is to be copied if it is elsewhere; returns why there is none, as a clause."""
        found = [path for path in dict.fromkeys((target, best)) if path.is_file()]
        if not found:
            return f"'{best}' is not there any more"
        source = next((path for path in found if _is_of_training(path, checkpoint)), None)
        if source is None:
            return f"'{found[0]}' is no checkpoint of this training"
        if source != target and is_rank_zero():
            self._copies.append((source, target))
        return ""


def _is_of_training(path: Path, checkpoint: Mapping[str, Any]) -> bool:
    """Whether a file is a checkpoint of the same model and images as another one."""
    try:
        content = read_checkpoint(str(path))
    except (ValueError, OSError):
        return False
    images, own = (part[METADATA_KEY].get("data", {}).get("splits") for part in (content, checkpoint))
    return bool(content["hyper_parameters"] == checkpoint["hyper_parameters"] and images == own)


def _keeps_own_files(state: Mapping[str, Any], folder: Path, callback: ModelCheckpoint) -> bool:
    """Whether a state names only files that its callback has written into a folder: it removes or copies them."""
    kept, last = state.get("best_k_models") or {}, state.get("last_model_path") or ""
    best = [state.get("best_model_path") or "", *kept]
    kth = state.get("kth_best_model_path") or ""
    has_kth = kth in kept if kth else callback.save_top_k == -1 or len(kept) < max(1, callback.save_top_k)
    own = has_kth and all(_is_named_by(path, folder, callback.filename) for path in best)
    return own and _is_named_by(last, folder, callback.CHECKPOINT_NAME_LAST, may_link=callback.save_last == "link")


def _is_named_by(path: object, folder: Path, template: str | None, *, may_link: bool = False) -> bool:
    """Whether a path is empty, or a checkpoint's below a folder by a template such as ``{epoch}``, and no link."""
    if not isinstance(path, str) or not path or not Path(path).is_relative_to(folder):
        return path == ""
    name = Path(path).relative_to(folder)
    # A metric such as val/loss makes folders.
    pattern = re.sub(r"\\{.*?\\}", ".*", re.escape("{}" if template is None else template))
    is_named = re.fullmatch(rf"{pattern}(-v\d+)?\.ckpt", name.as_posix()) is not None
    found = Path(path).parent.resolve() / name.name if may_link else Path(path).resolve()
    return is_named and ".." not in name.parts and found == folder.resolve() / name


def _replace_folder(value: Any, former: str, current: str) -> Any:  # noqa: ANN401  # any value in a checkpoint
    """The value with the folder of paths in it replaced."""
    if isinstance(value, Mapping):
        return {
            _replace_folder(key, former, current): _replace_folder(item, former, current) for key, item in value.items()
        }
    if isinstance(value, str) and (value == former or value.startswith(f"{former}/")):
        return current + value[len(former) :]
    return value
