"""What a quantized model loses, as a table for the terminal and as the record in its file."""

from typing import Any

from rich import box

from cxr_lightning.evaluation.comparison import AurocDifference
from cxr_lightning.evaluation.evaluate import MIN_IMAGES
from cxr_lightning.evaluation.quantization import MAX_MEAN_LOSS, QuantizationCheck, auroc_loss
from cxr_lightning.report.formats import format_number, format_signed
from cxr_lightning.utils.json_values import nan_to_null
from cxr_lightning.utils.notices import NOT_FOR_CLINICAL_USE
from cxr_lightning.utils.text_tables import TextTable

_DIGITS = 4


def quantization_table(check: QuantizationCheck, selection: str) -> TextTable:
    """AUROC in float32 and in int8, and the loss with its interval; at most 80 columns wide.

    Args:
        check: The numbers.
        selection: Description of the images, such as ``the test images``.
    """
    comparison = check.comparison
    title = f"AUROC on {comparison.images:,} images of {comparison.patients:,} patients: {selection}"
    table = TextTable(title=title, box=box.SIMPLE_HEAD, caption=_notes(check), show_footer=True)
    table.add_column("finding", footer=f"mean of {comparison.labels}")
    for name, footer in zip(("float32", "int8", "loss [95 %]"), _cells(comparison.mean), strict=True):
        table.add_column(name, justify="right", footer=footer)
    for label, result in comparison.by_label.items():
        table.add_row(label, *_cells(result))
    return table


def _notes(check: QuantizationCheck) -> str:
    """What a reader of the table must know."""
    notes = (
        f"Accepted are losses of at most {check.max_loss:g} for a finding and {MAX_MEAN_LOSS:g} for the mean. The loss "
        "itself decides; its interval (bootstrap over patients) says how much it depends on the images. "
    )
    if check.few:
        notes += f"Fewer than {MIN_IMAGES} positives or negatives: {', '.join(check.few)}. "
    return notes + NOT_FOR_CLINICAL_USE


def _cells(result: AurocDifference) -> tuple[str, str, str]:
    loss = auroc_loss(result)
    value, low, high = (format_signed(number, _DIGITS) for number in (loss.value, loss.low, loss.high))
    return format_number(result.first, _DIGITS), format_number(result.second, _DIGITS), f"{value} [{low}, {high}]"


def describe_probability_change(check: QuantizationCheck) -> str:
    """By how much the raw probabilities differ, as a line of text."""
    return (
        f"raw probabilities differ from float32 by {check.mean_probability_difference:.4f} on average, at most "
        f"{check.max_probability_difference:.4f}; calibration and thresholds stay as they were fitted"
    )


def describe_excess_losses(check: QuantizationCheck) -> str:
    """Which losses are more than is accepted, as a clause; empty if none is."""
    losses = {label: auroc_loss(check.comparison.by_label[label]).value for label in check.refused_labels}
    parts = [f"{label} loses {loss:.4f}" for label, loss in losses.items()]
    if check.mean_refused:
        parts.append(f"the mean loses {auroc_loss(check.comparison.mean).value:.4f}")
    return ", ".join(parts)


def quantization_losses(check: QuantizationCheck) -> dict[str, Any]:
    """The numbers of the table as plain values for the record of the file; undefined ones are null."""
    return {
        "max_loss": check.max_loss,
        "max_mean_loss": MAX_MEAN_LOSS,
        "auroc": {label: _plain(result) for label, result in check.comparison.by_label.items()},
        "mean": _plain(check.comparison.mean),
        "mean_probability_difference": check.mean_probability_difference,
        "max_probability_difference": check.max_probability_difference,
    }


def _plain(result: AurocDifference) -> dict[str, float | None]:
    loss = auroc_loss(result)
    numbers = {"float32": result.first, "int8": result.second, "loss": loss.value, "low": loss.low, "high": loss.high}
    return {name: nan_to_null(value) for name, value in numbers.items()}
