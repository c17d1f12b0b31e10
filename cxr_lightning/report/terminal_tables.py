"""Tables of AUROC and evaluations for the terminal, and the format of their numbers."""

import math
from collections.abc import Mapping, Sequence
from textwrap import wrap

from rich import box
from rich.text import Text

from cxr_lightning.evaluation.results import Evaluation
from cxr_lightning.metrics.bootstrap import CONFIDENCE_LEVEL, Estimate
from cxr_lightning.metrics.report_metric import ReportMetric
from cxr_lightning.report.formats import format_metric, format_number
from cxr_lightning.report.wording import evaluation_title
from cxr_lightning.utils.notices import NOT_FOR_CLINICAL_USE
from cxr_lightning.utils.plain_text import visible
from cxr_lightning.utils.text_tables import TextTable

_METRICS_PER_TABLE = 4
_MAX_NAME_LENGTH = 22  # characters of a finding's name on one line


def auroc_table(
    val: Mapping[str, float],
    test: Mapping[str, float],
    positives: Mapping[str, tuple[int, int]],
    macro: tuple[float, int],
    *,
    title: str,
) -> TextTable:
    """Table of each label's AUROC on validation and test.

    Args:
        val: Validation AUROC by label; NaN shows as n/a.
        test: Test AUROC by label.
        positives: Positive and known test images by label.
        macro: Mean test AUROC and the number of labels that it covers.
        title: Title, which names the data.
    """
    mean, defined = macro
    table = TextTable(title=title, box=box.SIMPLE_HEAD, caption=NOT_FOR_CLINICAL_USE, show_footer=True)
    table.add_column("finding", footer=f"mean of {defined} labels")
    table.add_column("test positives", justify="right")
    table.add_column("validation AUROC", justify="right")
    table.add_column("test AUROC", justify="right", footer=format_number(mean))
    for label, value in test.items():
        present, known = positives[label]
        table.add_row(label, f"{present} of {known}", format_number(val.get(label, math.nan)), format_number(value))
    return table


def evaluation_tables(evaluation: Evaluation) -> tuple[TextTable, ...]:
    """Tables of each finding's metrics, and their means; four metrics in each, which fit into 80 columns.

    In 80 columns the intervals are below the numbers.

    Args:
        evaluation: The evaluation to show.
    """
    starts = range(0, len(evaluation.metrics), _METRICS_PER_TABLE)
    return tuple(
        _evaluation_table(evaluation, evaluation.metrics[start : start + _METRICS_PER_TABLE]) for start in starts
    )


def _evaluation_table(evaluation: Evaluation, metrics: Sequence[ReportMetric]) -> TextTable:
    table = TextTable(
        title=evaluation_title(evaluation),
        caption=f"[low-high]: {CONFIDENCE_LEVEL * 100:.0f} % interval. {NOT_FOR_CLINICAL_USE}",
        box=box.SIMPLE_HEAD,
        show_footer=True,
        show_edge=False,
        padding=0,  # with padding, six columns do not fit into 80 characters
    )
    table.add_column("finding", footer=Text("mean\nover labels"), no_wrap=True)
    table.add_column("positives", justify="right", no_wrap=True)
    for metric in metrics:
        mean = evaluation.means[metric.name]
        footer = Text(f"{_unbreakable(metric, mean.estimate)}\n({mean.labels})")
        table.add_column(metric.title, footer=footer, justify="right", min_width=13 if metric.interval else 5)
    for result in evaluation.labels:
        table.add_row(
            Text("\n".join(wrap(visible(result.label), _MAX_NAME_LENGTH))),
            f"{result.positives:,} of {result.n:,}",
            *(_unbreakable(metric, result.metrics[metric.name]) for metric in metrics),
        )
    return table


def _unbreakable(metric: ReportMetric, estimate: Estimate) -> str:
    """Format an estimate so that a narrow column breaks the line before its interval and not within."""
    return format_metric(metric, estimate).replace(", ", "-")
