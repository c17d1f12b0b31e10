"""What a run leaves to be read later: summary.json, and what is added to or checked in a checkpoint."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cxr_lightning.checkpoints.load import read_checkpoint
from cxr_lightning.checkpoints.save import write_checkpoint
from cxr_lightning.metrics.ranking import macro_mean
from cxr_lightning.models.classifier import ChestXRayClassifier
from cxr_lightning.training.run_folder import SUMMARY_FILE
from cxr_lightning.utils.io import atomic_write_text
from cxr_lightning.utils.torch_io import RECORD_KEY


def summarize(
    history: Sequence[Mapping[str, float]],
    model: ChestXRayClassifier,
    *,
    monitor: Mapping[str, Any],
    best_checkpoint: str | None,
    tested: bool,
    seconds: float,
) -> dict[str, Any]:
    """The content of summary.json.

    Args:
        history: Rows of :class:`cxr_lightning.training.callbacks.History`.
        model: With the record of its data, and its test AUROC if it was tested.
        monitor: ``name``, ``mode`` and ``best`` of the monitored number.
        best_checkpoint: Path of the checkpoint that was tested.
        tested: Whether there was a test.
        seconds: Of the whole run.

    Returns:
        Plain values; what is not defined is None.
    """
    mean, defined = macro_mean(model.test_auroc_by_label.values())
    speed = [row["images_per_second"] for row in history]
    test = {
        "macro_auroc": _number(mean),
        "defined_labels": defined,
        "auroc": {label: _number(value) for label, value in model.test_auroc_by_label.items()},
    }
    return {
        "train_loss": [_number(row["train_loss"]) for row in history],
        "val_loss": [_number(row["val_loss"]) for row in history],
        "val_auroc": [_number(row["val_auroc"]) for row in history],
        "constant_loss": {split: _number(value) for split, value in model.record["constant_loss"].items()},
        "monitor": dict(monitor),
        "best_checkpoint": best_checkpoint,
        "test": test if tested else None,
        "seconds": seconds,
        "images_per_second": sum(speed) / len(speed) if speed else None,
        "precision": model.record["precision"],
        "data": model.record["data"],
        "versions": model.record["versions"],
    }


def write_summary(summary: dict[str, Any], folder: Path) -> None:
    """Write summary.json; adds the run's folder."""
    summary["run_folder"] = str(folder)
    with atomic_write_text(folder / SUMMARY_FILE) as file:
        file.write(json.dumps(summary, indent=2, allow_nan=False) + "\n")


def check_resumable(
    path: str, content: Mapping[str, Any], model: ChestXRayClassifier, *, training: bool, max_epochs: int | None = None
) -> None:
    """Refuse to use a checkpoint with another model or other data, or to continue one that has all its epochs.

    Args:
        path: The checkpoint.
        content: What is in it.
        model: As configured now, with the record of the data.
        training: Whether training is to go on.
        max_epochs: Of that; None if it may be over already.

    Raises:
        ValueError: If they differ, or nothing is left to train; the message names what.
    """
    if training and "optimizer_states" not in content:
        raise ValueError(
            f"Expected a checkpoint of an unfinished training in '{path}' but it holds a model alone. "
            "To start a new training from it, name it in `model.weights` instead."
        )
    if training and max_epochs is not None:
        _check_unfinished(path, content, max_epochs)
    then, now = content["hyper_parameters"], model.hparams
    different = [key for key in sorted(then) if then[key] != now.get(key)]
    before, after = content[RECORD_KEY].get("data", {"splits": {}, "settings": {}}), model.record["data"]
    different += [
        f"images of {split}" for split in after["splits"] if before["splits"].get(split) != after["splits"][split]
    ]
    if different:
        raise ValueError(
            f"Expected the settings that '{path}' was trained with but these differ: {', '.join(different)}. "
            f"Its data settings are {json.dumps(before['settings'])}. Give the same settings again."
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


def save_calibrated(source: str, target: Path, fitted: Mapping[str, Any]) -> None:
    """Write a copy of a checkpoint that also carries calibration and operating points.

    Args:
        source: The checkpoint; stays as it is.
        target: The copy.
        fitted: Plain values, from :meth:`cxr_lightning.models.postprocess.Fitted.record`.
    """
    content = read_checkpoint(source)
    content[RECORD_KEY] = {**content[RECORD_KEY], "fitted": dict(fitted)}
    write_checkpoint(content, target)


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value
