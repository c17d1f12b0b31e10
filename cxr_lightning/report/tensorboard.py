"""An evaluation's numbers as TensorBoard scalars."""

import math
from collections.abc import Iterator
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from cxr_lightning.evaluation.results import Evaluation


def write_scalars(evaluation: Evaluation, folder: Path) -> None:
    """Write means as ``test/auroc`` and findings as ``test/auroc/Edema``; undefined numbers are omitted.

    Args:
        evaluation: The evaluation to write.
        folder: Folder of the event file.
    """
    writer = SummaryWriter(str(folder))
    try:
        for name, value in _scalars(evaluation):
            if not math.isnan(value):
                writer.add_scalar(f"{evaluation.split}/{name}", value, 0)
    finally:
        writer.close()


def _scalars(evaluation: Evaluation) -> Iterator[tuple[str, float]]:
    for name in ("auroc", "average_precision", "brier", "ece"):
        yield name, getattr(evaluation, name).estimate.value
    for result in evaluation.labels:
        yield f"auroc/{result.label}", result.auroc.value
        yield f"average_precision/{result.label}", result.average_precision.value
        yield f"brier/{result.label}", result.brier
        yield f"ece/{result.label}", result.ece
