"""Read the checkpoint that a run is resumed from, and check that it fits the run."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from cxr_lightning.checkpoints.read import read_checkpoint
from cxr_lightning.models.classifier import ChestXRayClassifier
from cxr_lightning.training.callbacks.last_checkpoint import LastCheckpoint, is_exhausted
from cxr_lightning.training.run_settings import RunSettings, refuse_other_settings
from cxr_lightning.utils.command_line import pasteable_override
from cxr_lightning.utils.file_names import (
    LAST_CHECKPOINT,
    METADATA_FORMAT,
    METADATA_KEY,
    PREVIOUS_CHECKPOINT,
    SETTINGS_KEY,
)
from cxr_lightning.utils.trainer_callbacks import callbacks_of

logger = logging.getLogger(__name__)


def read_resumable(path: str) -> tuple[str, dict[str, Any]]:
    """Read the checkpoint to resume from: a ``last.ckpt``, or the one before if that is missing or damaged.

    Returns:
        Its path and content.

    Raises:
        FileNotFoundError: If there is neither.
        ValueError: If the file is no checkpoint of this package, and there is none before it.
    """
    try:
        return path, read_checkpoint(path)
    except (ValueError, OSError) as error:
        previous = Path(path).with_name(PREVIOUS_CHECKPOINT)
        if Path(path).name != LAST_CHECKPOINT or not previous.is_file():
            raise
        content = read_checkpoint(str(previous))
        logger.warning("resuming from '%s', the checkpoint before: %s", previous, error)
        return str(previous), content


def check_fits(path: str, content: Mapping[str, Any], model: ChestXRayClassifier) -> None:
    """Refuse a checkpoint of another model or of other data.

    Args:
        path: The checkpoint.
        content: Its content.
        model: The configured model, with the metadata of the data.

    Raises:
        ValueError: If they differ; the message names what.
    """
    saved, current = content["hyper_parameters"], model.hparams
    different = [key for key in sorted(saved) if saved[key] != current.get(key)]
    saved_data, data = content[METADATA_KEY].get("data", {"splits": {}, "settings": {}}), model.metadata["data"]
    different += [
        f"images of {split}" for split in data["splits"] if saved_data["splits"].get(split) != data["splits"][split]
    ]
    if different:
        raise ValueError(
            f"Expected the settings that '{path}' was trained with but these differ: {', '.join(different)}. "
            f"Its data settings are {json.dumps(saved_data['settings'])}. Give the same settings again."
        )


def check_resumable(path: str, content: Mapping[str, Any], settings: RunSettings) -> None:
    """Refuse to resume from a checkpoint that holds no training, or one with other settings.

    Args:
        path: The checkpoint.
        content: Its content.
        settings: The settings of this run.

    Raises:
        ValueError: If it does; the message names the settings that differ.
    """
    if "optimizer_states" not in content:
        raise ValueError(
            f"Expected a checkpoint of an unfinished training in '{path}' but it holds a model alone. "
            f"Start a new training from it with {pasteable_override('model.weights', path)} instead."
        )
    if content[METADATA_KEY]["format"] < METADATA_FORMAT:
        raise ValueError(
            f"Expected a checkpoint of this version to resume but '{path}' is of version 0.1, whose runs cannot be "
            "resumed. Resume it with version 0.1, or start a new training from its weights with "
            f"{pasteable_override('model.weights', path)} instead. It can still be evaluated, exported and used for "
            "prediction."
        )
    recorded = content[METADATA_KEY].get(SETTINGS_KEY)
    if recorded is not None:
        refuse_other_settings(recorded, settings, path)


def check_epochs_left(path: str, content: Mapping[str, Any], trainer: pl.Trainer, *, may_be_complete: bool) -> None:
    """Refuse to resume a training that is complete, or that has trained for longer than it is to.

    Args:
        path: The checkpoint.
        content: Its content.
        trainer: The trainer, with the configured length of the training.
        may_be_complete: Whether a training may be resumed that is complete, which is then only tested.

    Raises:
        ValueError: If no epoch is left, or what has stopped the training would stop it again.
    """
    finished = content["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"]
    max_epochs = trainer.max_epochs
    to_test = f"or test it: train=false {pasteable_override('ckpt_path', path)}."
    if max_epochs is not None and _is_reached(max_epochs, finished, may_be_complete=may_be_complete):
        raise ValueError(
            f"Expected epochs left to train but '{path}' has finished {finished} of {max_epochs}. "
            f"Raise `trainer.max_epochs`, {to_test}"
        )
    steps, max_steps = content["global_step"], trainer.max_steps
    if _is_reached(max_steps, steps, may_be_complete=may_be_complete):
        raise ValueError(
            f"Expected steps left to train but '{path}' has finished {steps} of {max_steps}. "
            f"Raise `trainer.max_steps`, {to_test}"
        )
    if not may_be_complete and is_stopped(content, trainer):
        raise ValueError(
            f"Expected epochs left to train but '{path}' was stopped early after {finished}. Raise "
            f"`callbacks.early_stopping.patience` or `trainer.max_time`, whichever stopped it, {to_test}"
        )


def _is_reached(limit: int, finished: int, *, may_be_complete: bool) -> bool:
    """Whether a training has reached its limit, -1 for none, or if it may be complete: has gone beyond it."""
    return 0 <= limit < finished or (limit == finished and not may_be_complete)


def is_stopped(content: Mapping[str, Any], trainer: pl.Trainer) -> bool:
    """Whether the training in a checkpoint was stopped early and is not to go on with the configured length.

    It goes on where early stopping has more patience now, or the run more time.

    Args:
        content: The checkpoint's content.
        trainer: The trainer with its callbacks, before they are restored.
    """
    states = content["callbacks"]
    saved = states.get(LastCheckpoint.__name__, {})
    if not saved.get("stopped_early"):
        return False
    restored = [callback for callback in callbacks_of(trainer, pl.Callback) if callback.state_key in states]
    exhausted = any(is_exhausted(callback, states[callback.state_key]) for callback in restored)
    return exhausted or not saved.get("stopped_by")  # else something that no setting here undoes
