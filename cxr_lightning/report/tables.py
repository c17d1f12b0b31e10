"""Tables for the terminal."""

import math
from collections.abc import Mapping

from rich import box
from rich.table import Table

NOT_FOR_CLINICAL_USE = "Not for clinical use."


def auroc_table(
    val: Mapping[str, float],
    test: Mapping[str, float],
    positives: Mapping[str, tuple[int, int]],
    macro: tuple[float, int],
    *,
    title: str,
) -> Table:
    """AUROC of each label on validation and test.

    Args:
        val: Validation AUROC by label; NaN shows as n/a.
        test: Test AUROC by label.
        positives: Positive and known test images by label.
        macro: Mean test AUROC and how many labels it covers.
        title: What data this is.
    """
    mean, defined = macro
    table = Table(title=title, box=box.SIMPLE_HEAD, caption=NOT_FOR_CLINICAL_USE, show_footer=True)
    table.add_column("finding", footer=f"mean of {defined} labels")
    table.add_column("test positives", justify="right")
    table.add_column("validation AUROC", justify="right")
    table.add_column("test AUROC", justify="right", footer=number(mean))
    for label, value in test.items():
        present, known = positives[label]
        table.add_row(label, f"{present} of {known}", number(val.get(label, math.nan)), number(value))
    return table


def number(value: float, digits: int = 3) -> str:
    """A number with fixed digits; ``n/a`` where it is not defined.

    Example:
        >>> number(0.81234), number(float("nan"))
        ('0.812', 'n/a')
    """
    return "n/a" if math.isnan(value) else f"{value:.{digits}f}"
