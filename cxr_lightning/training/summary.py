"""summary.json: the results of a finished run, for other programs."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cxr_lightning.metrics.ranking import macro_mean
from cxr_lightning.models.classifier import ChestXRayClassifier
from cxr_lightning.utils.file_names import SUMMARY_FILE
from cxr_lightning.utils.io import atomic_write_text
from cxr_lightning.utils.json_values import nan_to_null


def summarize_run(
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
        model: The model with the metadata of its data, and its test AUROC if it was tested.
        monitor: ``name``, ``mode`` and ``best`` value of the monitored metric.
        best_checkpoint: Path of the checkpoint that was tested.
        tested: Whether there was a test.
        seconds: Duration of the whole run in seconds.

    Returns:
        Plain values; undefined numbers are None.
    """
    mean, defined = macro_mean(model.test_auroc_by_label.values())
    speed = [row["images_per_second"] for row in history]
    test = {
        "macro_auroc": nan_to_null(mean),
        "defined_labels": defined,
        "auroc": {label: nan_to_null(value) for label, value in model.test_auroc_by_label.items()},
    }
    return {
        "train_loss": [nan_to_null(row["train_loss"]) for row in history],
        "val_loss": [nan_to_null(row["val_loss"]) for row in history],
        "val_auroc": [nan_to_null(row["val_auroc"]) for row in history],
        "constant_loss": {split: nan_to_null(value) for split, value in model.metadata["constant_loss"].items()},
        "found_learning_rate": model.metadata.get("found_learning_rate"),
        "monitor": dict(monitor),
        "best_checkpoint": best_checkpoint,
        "test": test if tested else None,
        "seconds": seconds,
        "images_per_second": sum(speed) / len(speed) if speed else None,
        "precision": model.metadata["precision"],
        "data": model.metadata["data"],
        "versions": model.metadata["versions"],
    }


def write_summary(summary: dict[str, Any], folder: Path) -> None:
    """Write summary.json; the run's folder is added to it."""
    summary["run_folder"] = str(folder)
    with atomic_write_text(folder / SUMMARY_FILE) as file:
        file.write(json.dumps(summary, indent=2, allow_nan=False) + "\n")
