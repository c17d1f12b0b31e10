"""Read the checkpoint that a run is continued from, and check that it fits the run."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cxr_lightning.checkpoints.load import read_checkpoint
from cxr_lightning.models.classifier import ChestXRayClassifier
from cxr_lightning.utils.file_names import LAST_CHECKPOINT, METADATA_FORMAT, METADATA_KEY, PREVIOUS_CHECKPOINT

logger = logging.getLogger(__name__)


def read_resumable(path: str) -> tuple[str, dict[str, Any]]:
    """Read the checkpoint to continue from: a ``last.ckpt``, or the one before if that is missing or damaged.

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
        logger.warning("continuing from '%s', the checkpoint before: %s", previous, error)
        return str(previous), content


def check_resumable(
    path: str, content: Mapping[str, Any], model: ChestXRayClassifier, *, training: bool, max_epochs: int | None = None
) -> None:
    """Refuse to use a checkpoint with another model or other data, or to continue one that has all its epochs.

    Args:
        path: The checkpoint.
        content: Its content.
        model: The configured model, with the metadata of the data.
        training: Whether training is to be continued.
        max_epochs: Number of epochs of that training; None if it may be complete already.

    Raises:
        ValueError: If they differ, or nothing is left to train; the message names what.
    """
    if training:
        _check_training_state(path, content)
    if training and max_epochs is not None:
        _check_unfinished(path, content, max_epochs)
    saved, current = content["hyper_parameters"], model.hparams
    different = [key for key in sorted(saved) if saved[key] != current.get(key)]
    saved_data, data = content[METADATA_KEY].get("data", {"splits": {}, "settings": {}}), model.metadata["data"]
    different += [
        f"images of {split}" for split in data["splits"] if saved_data["splits"].get(split) != data["splits"][split]
    ]
    recorded = content[METADATA_KEY]
    if training:
        different += [key for key in ("loss", "loss_settings") if _differs(recorded, model.metadata, key)]
    if different:
        raise ValueError(
            f"Expected the settings that '{path}' was trained with but these differ: {', '.join(different)}. "
            f"Its data settings are {json.dumps(saved_data['settings'])}. Give the same settings again."
        )


def _differs(recorded: Mapping[str, Any], current: Mapping[str, Any], key: str) -> bool:
    """Whether a checkpoint records something else; one of an earlier version may record nothing."""
    return key in recorded and recorded[key] != current.get(key)


def _check_training_state(path: str, content: Mapping[str, Any]) -> None:
    if "optimizer_states" not in content:
        raise ValueError(
            f"Expected a checkpoint of an unfinished training in '{path}' but it holds a model alone. "
            "To start a new training from it, name it in `model.weights` instead."
        )
    if content[METADATA_KEY]["format"] < METADATA_FORMAT:
        raise ValueError(
            f"Expected a checkpoint of this version to continue but '{path}' is of version 0.1, whose runs cannot be "
            "continued. Continue it with version 0.1, or start a new training from its weights: "
            f"model.weights={path}. It can still be evaluated, exported and used for prediction."
        )


def _check_unfinished(path: str, content: Mapping[str, Any], max_epochs: int) -> None:
    finished = content["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"]
    if 0 <= max_epochs <= finished:
        raise ValueError(
            f"Expected epochs left to train but '{path}' has finished {finished} of {max_epochs}. "
            "Raise `trainer.max_epochs`, or set 'train=false' to test it."
        )
    if content["callbacks"].get("LastCheckpoint", {}).get("stopped_early"):
        raise ValueError(
            f"Expected epochs left to train but '{path}' was stopped early after {finished}. "
            "Set 'train=false' to test it, or start anew with another `callbacks.early_stopping`."
        )
