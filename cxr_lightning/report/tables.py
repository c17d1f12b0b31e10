"""Tables for the terminal."""

import math
from collections.abc import Mapping
from textwrap import wrap

from rich import box
from rich.table import Table
from rich.text import Text

from cxr_lightning.evaluation.results import Evaluation, Mean
from cxr_lightning.metrics.resampling import CONFIDENCE_LEVEL, Estimate

NOT_FOR_CLINICAL_USE = "Not for clinical use."

_NAME = 22  # characters of a finding's name on one line


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


def evaluation_table(evaluation: Evaluation) -> Table:
    """AUROC, average precision and calibration of each finding; in 80 columns the intervals stand below the numbers.

    Args:
        evaluation: To show.
    """
    table = Table(
        title=Text(evaluation.title, style="table.title"),
        caption=Text(
            f"[low-high]: {CONFIDENCE_LEVEL * 100:.0f} % interval. {NOT_FOR_CLINICAL_USE}", style="table.caption"
        ),
        box=box.SIMPLE_HEAD,
        show_footer=True,
        show_edge=False,
        padding=0,  # six columns fit into 80 characters, two spaces between them would not
    )
    table.add_column("finding", footer="mean\nover labels", no_wrap=True)
    table.add_column("positives", justify="right", no_wrap=True)
    for name, mean in (("AUROC", evaluation.auroc), ("AP", evaluation.average_precision)):
        table.add_column(name, footer=_covered(mean, _unbroken(mean.estimate)), justify="right", min_width=13)
    for name, mean in (("Brier", evaluation.brier), ("ECE", evaluation.ece)):
        table.add_column(name, footer=_covered(mean, number(mean.estimate.value)), justify="right", min_width=5)
    for result in evaluation.labels:
        table.add_row(
            Text("\n".join(wrap(result.label, _NAME))),
            f"{result.positives:,} of {result.n:,}",
            Text(_unbroken(result.auroc)),
            Text(_unbroken(result.average_precision)),
            number(result.brier),
            number(result.ece),
        )
    return table


def _covered(mean: Mean, shown: str) -> Text:
    return Text(f"{shown}\n({mean.labels})")


def _unbroken(estimate: Estimate) -> str:
    """With an interval that is one word, so that a narrow column breaks before it and not within."""
    return interval(estimate).replace(", ", "-")


def interval(estimate: Estimate, digits: int = 3) -> str:
    """A number with its interval; ``n/a`` for what is not defined.

    Example:
        >>> interval(Estimate(0.81234, 0.8, 0.82)), interval(Estimate(0.5)), interval(Estimate())
        ('0.812 [0.800, 0.820]', '0.500 [n/a]', 'n/a')
    """
    if math.isnan(estimate.value):
        return number(estimate.value)
    if math.isnan(estimate.low) or math.isnan(estimate.high):
        return f"{number(estimate.value, digits)} [n/a]"
    return f"{number(estimate.value, digits)} [{number(estimate.low, digits)}, {number(estimate.high, digits)}]"


def number(value: float, digits: int = 3) -> str:
    """A number with fixed digits; ``n/a`` where it is not defined.

    Example:
        >>> number(0.81234), number(float("nan"))
        ('0.812', 'n/a')
    """
    return "n/a" if math.isnan(value) else f"{value:.{digits}f}"


def signed(value: float) -> str:
    """A difference with its sign; ``n/a`` where it is not defined.

    Example:
        >>> signed(0.0123), signed(-0.5), signed(float("nan"))
        ('+0.012', '-0.500', 'n/a')
    """
    return "n/a" if math.isnan(value) else f"{value:+.3f}"
