"""AUROC with intervals, by finding and by subgroup."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cxr_lightning.evaluation.results import Evaluation
from cxr_lightning.metrics.bootstrap import Estimate
from cxr_lightning.metrics.ranking import top_labels
from cxr_lightning.report.formats import format_estimate, format_number
from cxr_lightning.report.theme import BLUE, MUTED, ORANGE, RULE, WIDTH, figure_style, new_figure
from cxr_lightning.utils.plain_text import shorten

_LEFT, _RIGHT, _TOP, _BOTTOM, _ROW_HEIGHT = 2.5, 1.75, 0.62, 0.5, 0.25  # inches


@dataclass(frozen=True)
class _Row:
    """A row of the figure; a heading if it has no estimate."""

    name: str
    estimate: Estimate | None


def draw_auroc(evaluation: Evaluation) -> Figure:
    """Draw the AUROC of every finding, best first, with the mean."""
    results = {result.label: result for result in evaluation.labels}
    ranked = top_labels({label: result.auroc.value for label, result in results.items()})
    rows = [_Row(label, results[label].auroc) for label in dict.fromkeys((*ranked, *results))]
    return _draw_rows(evaluation, "AUROC by finding", rows)


def draw_subgroups(evaluation: Evaluation) -> Figure:
    """Draw the mean AUROC of every subgroup, with that of all images."""
    rows = []
    for attribute in dict.fromkeys(group.attribute for group in evaluation.subgroups):
        groups = [group for group in evaluation.subgroups if group.attribute == attribute]
        rows.append(_Row(attribute, None))
        rows += [
            _Row(f"{shorten(group.group, 16)} ({group.images:,} images)", group.auroc.estimate) for group in groups
        ]
    return _draw_rows(evaluation, "Mean AUROC by group", rows)


def _draw_rows(evaluation: Evaluation, name: str, rows: Sequence[_Row]) -> Figure:
    height = _TOP + _BOTTOM + _ROW_HEIGHT * max(len(rows), 2)
    with figure_style():
        figure = new_figure(evaluation, name, WIDTH, height)
        figure.subplots_adjust(
            left=_LEFT / WIDTH, right=1 - _RIGHT / WIDTH, bottom=_BOTTOM / height, top=1 - _TOP / height
        )
        axes = figure.subplots()
        axes.set(xlim=_limits(evaluation, rows), ylim=(max(len(rows), 2) - 0.4, -0.6), xlabel="AUROC")
        _draw_references(axes, evaluation)
        for position, row in enumerate(rows):
            _draw_row(axes, position, row)
        axes.set_yticks(range(len(rows)), [shorten(row.name, 30) for row in rows])
        for tick, row in zip(axes.get_yticklabels(), rows, strict=True):
            tick.set_fontweight("normal" if row.estimate else "bold")
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        if not rows:
            axes.text(0.5, 0.5, "n/a", transform=axes.transAxes, color=MUTED, ha="center", va="center", fontsize=11)
    return figure


def _limits(evaluation: Evaluation, rows: Sequence[_Row]) -> tuple[float, float]:
    """Limits of the horizontal axis: from slightly below the lowest number, at most 0.45, to 1."""
    estimates = [evaluation.auroc.estimate, *(row.estimate for row in rows if row.estimate)]
    ends = [end for estimate in estimates for end in (estimate.low, estimate.value) if not math.isnan(end)]
    return max(min([0.47, *ends]) - 0.02, -0.01), 1.005


def _draw_references(axes: Axes, evaluation: Evaluation) -> None:
    """Draw lines at chance and at the mean over findings, and shade its interval."""
    mean = evaluation.auroc.estimate
    axes.axvline(0.5, color=MUTED, linestyle=":", linewidth=1)
    transform = axes.get_xaxis_transform()
    axes.text(0.5, 1.01, "chance", transform=transform, ha="center", va="bottom", fontsize=7.5, color=MUTED)
    if math.isnan(mean.value):
        return
    if not math.isnan(mean.low):
        axes.axvspan(mean.low, mean.high, color=ORANGE, alpha=0.15, linewidth=0)
    axes.axvline(mean.value, color=ORANGE, linestyle="--", linewidth=1)
    if abs(mean.value - 0.5) > 0.06:
        label = f"mean {format_number(mean.value)}"
        axes.text(mean.value, 1.01, label, transform=transform, ha="center", va="bottom", fontsize=7.5, color=ORANGE)


def _draw_row(axes: Axes, position: int, row: _Row) -> None:
    if row.estimate is None:
        return
    axes.axhline(position, color=RULE, linewidth=0.6, zorder=0)
    if not math.isnan(row.estimate.low):
        axes.plot([row.estimate.low, row.estimate.high], [position] * 2, color=BLUE, linewidth=2, solid_capstyle="butt")
    if not math.isnan(row.estimate.value):
        axes.plot([row.estimate.value], [position], marker="o", markersize=5, color=BLUE)
    axes.text(
        1.02,
        position,
        format_estimate(row.estimate),
        transform=axes.get_yaxis_transform(),
        va="center",
        ha="left",
        fontsize=8,
    )
