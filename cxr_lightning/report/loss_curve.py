"""Loss and AUROC curves of a training run."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from cxr_lightning.report.theme import matplotlib_defaults
from cxr_lightning.utils.io import atomic_write_bytes
from cxr_lightning.utils.plain_text import shorten

_MAX_TITLE_LENGTH = 110
_TRAIN, _VAL = "#1f5fa8", "#c8501e"


@matplotlib_defaults()
def loss_curve(
    history: Sequence[Mapping[str, float]], path: Path, *, title: str = "", constant_loss: float | None = None
) -> None:
    """Draw training and validation loss and validation AUROC by epoch.

    Args:
        history: One row per epoch: ``epoch`` (from 1), ``train_loss``, ``val_loss``, ``val_auroc``; NaN is not drawn.
        path: PNG file to write.
        title: Title of the figure, which names the data and states whether it is synthetic.
        constant_loss: Validation loss of the best constant prediction, drawn as a line.
    """
    figure = Figure(figsize=(9, 3.6), layout="constrained", dpi=130)
    left, right = figure.subplots(1, 2)
    for key, label, color in (("train_loss", "training", _TRAIN), ("val_loss", "validation", _VAL)):
        epochs, values = _finite(history, key)
        left.plot(epochs, values, marker="o", color=color, label=label)
    if constant_loss is not None and math.isfinite(constant_loss):
        left.axhline(constant_loss, color="#666666", linestyle="--", linewidth=1, label="best constant (validation)")
    left.set(xlabel="epoch", ylabel="loss")
    left.legend(frameon=False)
    epochs, values = _finite(history, "val_auroc")
    right.plot(epochs, values, marker="o", color=_VAL)
    right.axhline(0.5, color="#666666", linestyle="--", linewidth=1)
    right.set(xlabel="epoch", ylabel="validation AUROC, mean over labels", ylim=(min([0.45, *values]), 1.0))
    for axes in (left, right):
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    figure.suptitle(shorten(title, _MAX_TITLE_LENGTH), fontsize=10, parse_math=False)
    with atomic_write_bytes(path) as file:
        figure.savefig(file, format="png")


def _finite(history: Sequence[Mapping[str, float]], key: str) -> tuple[list[float], list[float]]:
    points = [(row["epoch"], row[key]) for row in history if math.isfinite(row.get(key, math.nan))]
    return [epoch for epoch, _ in points], [value for _, value in points]
