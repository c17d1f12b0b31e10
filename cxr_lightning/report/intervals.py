"""Dots with intervals: AUROC by finding and by group of patients."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cxr_lightning.evaluation.results import Evaluation
from cxr_lightning.metrics.resampling import Estimate
from cxr_lightning.report.tables import interval, number
from cxr_lightning.report.theme import BLUE, MUTED, ORANGE, RULE, WIDTH, drawing, new_figure, shortened

_LEFT, _RIGHT, _HEAD, _FOOT, _ROW = 2.5, 1.75, 0.62, 0.5, 0.25  # inches


@dataclass(frozen=True)
class _Row:
    """A line of the figure; a heading if it has no estimate."""

    name: str
    estimate: Estimate | None


def auroc(evaluation: Evaluation) -> Figure:
    """AUROC of every finding, best first, with the mean."""
    ordered = sorted(evaluation.labels, key=lambda result: _descending(result.auroc.value))
    rows = [_Row(result.label, result.auroc) for result in ordered]
    return _figure(evaluation, "AUROC by finding", rows)


def subgroups(evaluation: Evaluation) -> Figure:
    """Mean AUROC of every group of patients, with that of all."""
    rows = []
    for attribute in dict.fromkeys(group.attribute for group in evaluation.subgroups):
        groups = [group for group in evaluation.subgroups if group.attribute == attribute]
        rows.append(_Row(attribute, None))
        rows += [
            _Row(f"{shortened(group.group, 16)} ({group.images:,} images)", group.auroc.estimate) for group in groups
        ]
    return _figure(evaluation, "Mean AUROC by group", rows)


def _descending(value: float) -> float:
    return math.inf if math.isnan(value) else -value


def _figure(evaluation: Evaluation, name: str, rows: Sequence[_Row]) -> Figure:
    height = _HEAD + _FOOT + _ROW * max(len(rows), 2)
    with drawing():
        figure = new_figure(evaluation, name, WIDTH, height)
        figure.subplots_adjust(
            left=_LEFT / WIDTH, right=1 - _RIGHT / WIDTH, bottom=_FOOT / height, top=1 - _HEAD / height
        )
        axes = figure.subplots()
        axes.set(xlim=_limits(evaluation, rows), ylim=(max(len(rows), 2) - 0.4, -0.6), xlabel="AUROC")
        _references(axes, evaluation)
        for place, row in enumerate(rows):
            _draw_row(axes, place, row)
        axes.set_yticks(range(len(rows)), [shortened(row.name) for row in rows])
        for tick, row in zip(axes.get_yticklabels(), rows, strict=True):
            tick.set_fontweight("normal" if row.estimate else "bold")
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        if not rows:
            axes.text(0.5, 0.5, "n/a", transform=axes.transAxes, color=MUTED, ha="center", va="center", fontsize=11)
    return figure


def _limits(evaluation: Evaluation, rows: Sequence[_Row]) -> tuple[float, float]:
    """From a little under the lowest number, at most 0.45, to 1."""
    estimates = [evaluation.auroc.estimate, *(row.estimate for row in rows if row.estimate)]
    ends = [end for estimate in estimates for end in (estimate.low, estimate.value) if not math.isnan(end)]
    return max(min([0.47, *ends]) - 0.02, -0.01), 1.005


def _references(axes: Axes, evaluation: Evaluation) -> None:
    """Chance, and the mean over findings with its interval."""
    mean = evaluation.auroc.estimate
    axes.axvline(0.5, color=MUTED, linestyle=":", linewidth=1)
    top = axes.get_xaxis_transform()
    axes.text(0.5, 1.01, "chance", transform=top, ha="center", va="bottom", fontsize=7.5, color=MUTED)
    if math.isnan(mean.value):
        return
    if not math.isnan(mean.low):
        axes.axvspan(mean.low, mean.high, color=ORANGE, alpha=0.15, linewidth=0)
    axes.axvline(mean.value, color=ORANGE, linestyle="--", linewidth=1)
    if abs(mean.value - 0.5) > 0.06:
        label = f"mean {number(mean.value)}"
        axes.text(mean.value, 1.01, label, transform=top, ha="center", va="bottom", fontsize=7.5, color=ORANGE)


def _draw_row(axes: Axes, place: int, row: _Row) -> None:
    if row.estimate is None:
        return
    axes.axhline(place, color=RULE, linewidth=0.6, zorder=0)
    if not math.isnan(row.estimate.low):
        axes.plot([row.estimate.low, row.estimate.high], [place, place], color=BLUE, linewidth=2, solid_capstyle="butt")
    if not math.isnan(row.estimate.value):
        axes.plot([row.estimate.value], [place], marker="o", markersize=5, color=BLUE)
    axes.text(
        1.02, place, interval(row.estimate), transform=axes.get_yaxis_transform(), va="center", ha="left", fontsize=8
    )
