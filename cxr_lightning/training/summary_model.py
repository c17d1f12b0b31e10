"""The types of summary.json, and its reading: a file of a run that may have been changed since."""

import logging
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from cxr_lightning.checkpoints.metadata_model import StoredValues, TrainingData
from cxr_lightning.utils.file_names import SUMMARY_FILE
from cxr_lightning.utils.json_values import parse_json
from cxr_lightning.utils.regular_files import read_limited
from cxr_lightning.utils.typed_values import Count, Fraction, Number, describe_errors

logger = logging.getLogger(__name__)

_MAX_BYTES = 100_000_000
"""Maximum size of the file; an epoch takes about 100 bytes."""


class MonitoredMetric(StoredValues):
    """The metric by which epochs were compared."""

    name: str
    """Logged name, such as val/auroc."""
    mode: Literal["max", "min"]
    """Whether higher or lower is better."""
    best: Number
    """The best value; null where it was never defined."""


class ScoresOnTest(StoredValues):
    """AUROC on the test images."""

    macro_auroc: Fraction
    """Mean over the labels that have one."""
    defined_labels: Count
    """Number of these labels."""
    auroc: dict[str, Fraction]
    """AUROC by label; null where undefined."""


class RunSummary(StoredValues):
    """The results of a finished run."""

    train_loss: list[Number]
    """Mean training loss of each epoch."""
    val_loss: list[Number]
    """Validation loss of each epoch."""
    val_auroc: list[Fraction]
    """Mean validation AUROC of each epoch."""
    constant_loss: dict[str, Number]
    """Loss of the best constant prediction by split."""
    found_learning_rate: Number = None
    """The learning rate that a search has found; absent in files of version 0.1."""
    monitor: MonitoredMetric
    """The metric by which epochs were compared."""
    best_checkpoint: str | None
    """Path of the checkpoint that was tested."""
    test: ScoresOnTest | None
    """Results on the test images; null without a test."""
    seconds: Number
    """Duration of the run in seconds."""
    images_per_second: Number
    """Mean training speed of the epochs."""
    precision: str | int | None
    """Precision of the training, in Lightning's words."""
    data: TrainingData
    """The images of the run."""
    versions: dict[str, str]
    """Versions of Python and of packages."""


def read_summary(path: Path) -> dict[str, Any]:
    """Read a summary.json.

    Args:
        path: The file.

    Raises:
        OSError: If it cannot be read.
        ValueError: If it is no summary, or any value in it has another type.
    """
    try:
        content: Any = parse_json(read_limited(path, _MAX_BYTES))
        RunSummary.model_validate(content)
    except (ValidationError, ValueError) as error:
        reason = f"in it, {describe_errors(error)}" if isinstance(error, ValidationError) else f"it is damaged: {error}"
        raise ValueError(
            f"Expected a run's summary in '{path}' but {reason}. Delete it, and go on with the run: resume=auto."
        ) from error
    summary: dict[str, Any] = content
    return summary


def finished_result(folder: Path) -> float | None:
    """Best value of the monitored metric of a finished run, as in a sweep that is started again; None without one.

    Args:
        folder: The run's folder.

    Raises:
        ValueError: If its summary.json is none.
    """
    logger.info("finished already: %s", folder)
    best: float | None = read_summary(folder / SUMMARY_FILE)["monitor"]["best"]
    return best
