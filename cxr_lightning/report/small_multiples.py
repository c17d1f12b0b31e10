"""Small multiples: one square panel per finding, four in a row."""

import math
from collections.abc import Callable, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from cxr_lightning.evaluation.label_result import LabelResult
from cxr_lightning.evaluation.results import Evaluation
from cxr_lightning.report.theme import MUTED, figure_style, new_figure
from cxr_lightning.utils.plain_text import shorten

_COLUMNS = 4
_LEFT, _RIGHT, _TOP, _BOTTOM = 0.62, 0.14, 0.95, 0.5  # inches
_PANEL, _COLUMN_GAP, _ROW_GAP = 2.02, 0.385, 0.58
_MIN_WIDTH = 4.2  # so that title and legend fit above a single panel


def small_multiples(
    evaluation: Evaluation,
    draw: Callable[[Axes, LabelResult], None],
    *,
    name: str,
    x: str,
    y: str,
    legend: Sequence[Line2D],
) -> Figure:
    """Draw a figure with a panel for each finding.

    Args:
        evaluation: The evaluation whose findings are drawn.
        draw: Function that draws one finding; it begins with :func:`format_panel`.
        name: Title for screen readers.
        x: Label of all horizontal axes.
        y: Label of all vertical axes.
        legend: Legend handles that hold for all panels.
    """
    results = evaluation.labels
    columns = max(min(_COLUMNS, len(results)), 1)
    rows = max(math.ceil(len(results) / columns), 1)
    right = _LEFT + columns * _PANEL + (columns - 1) * _COLUMN_GAP
    width = max(right + _RIGHT, _MIN_WIDTH)
    height = _TOP + rows * _PANEL + (rows - 1) * _ROW_GAP + _BOTTOM
    with figure_style():
        figure = new_figure(evaluation, name, width, height)
        for number, result in enumerate(results):
            row, column = divmod(number, columns)
            left, bottom = _LEFT + column * (_PANEL + _COLUMN_GAP), _BOTTOM + (rows - 1 - row) * (_PANEL + _ROW_GAP)
            draw(figure.add_axes((left / width, bottom / height, _PANEL / width, _PANEL / height)), result)
        center = ((_LEFT + right) / 2 / width, (_BOTTOM + height - _TOP) / 2 / height)
        figure.text(center[0], 0.08 / height, x, ha="center", va="bottom")
        figure.text(0.1 / width, center[1], y, ha="left", va="center", rotation="vertical")
        _legend(figure, legend)
    return figure


def _legend(figure: Figure, handles: Sequence[Line2D]) -> None:
    figure.legend(
        handles=list(handles),
        loc="upper left",
        bbox_to_anchor=(0, 1 - 0.32 / figure.get_figheight()),
        ncols=min(len(handles), int(figure.get_figwidth() / 1.4)),
        fontsize=7.5,
        columnspacing=1.4,
        handlelength=1.6,
        borderpad=0.3,
    )


def format_panel(axes: Axes, result: LabelResult, heading: str, *, defined: bool, limit: float = 1.0) -> None:
    """Set a panel's title and scale, and write ``n/a`` where there is nothing to draw.

    Args:
        axes: The panel.
        result: The panel's finding.
        heading: Second line of the title.
        defined: Whether there is anything to draw.
        limit: Upper limit of both axes.
    """
    axes.set_title(f"{shorten(result.label, 27)}\n{heading}", fontsize=8, loc="left", pad=4)
    limits, ticks = (-0.02 * limit, 1.02 * limit), (0, limit / 2, limit)
    tick_labels = [f"{tick:g}" for tick in ticks]
    axes.set(xlim=limits, ylim=limits)
    axes.set_xticks(ticks, tick_labels)
    axes.set_yticks(ticks, tick_labels)
    axes.tick_params(length=2.5, pad=2, labelsize=7.5)
    if not defined:
        axes.text(0.5, 0.5, "n/a", transform=axes.transAxes, color=MUTED, ha="center", va="center", fontsize=11)
