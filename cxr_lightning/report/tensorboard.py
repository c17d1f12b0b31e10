"""An evaluation's numbers as TensorBoard scalars."""

import math
from collections.abc import Iterator
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from cxr_lightning.evaluation.results import Evaluation
from cxr_lightning.utils.safe_names import safe_name


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
    for name, mean in evaluation.means.items():
        yield name, mean.estimate.value
    for result in evaluation.labels:
        for name, estimate in result.metrics.items():
            yield f"{name}/{safe_name(result.label)}", estimate.value
