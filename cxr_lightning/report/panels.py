"""Small multiples: one square panel per finding, four in a row."""

import math
from collections.abc import Callable, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from cxr_lightning.evaluation.results import Evaluation, LabelResult
from cxr_lightning.report.theme import MUTED, drawing, new_figure, shortened

_COLUMNS = 4
_LEFT, _RIGHT, _HEAD, _FOOT = 0.62, 0.14, 0.95, 0.5  # inches
_PANEL, _ACROSS, _DOWN = 2.02, 0.385, 0.58
_NARROWEST = 4.2  # so that title and legend have room above a single panel


def small_multiples(
    evaluation: Evaluation,
    draw: Callable[[Axes, LabelResult], None],
    *,
    name: str,
    x: str,
    y: str,
    legend: Sequence[Line2D],
) -> Figure:
    """A figure with a panel for each finding.

    Args:
        evaluation: Whose findings they are.
        draw: Draws one finding; begins with :func:`frame`.
        name: What the figure shows.
        x: Label of all horizontal axes.
        y: Label of all vertical axes.
        legend: What the lines and marks of all panels mean.
    """
    results = evaluation.labels
    columns = max(min(_COLUMNS, len(results)), 1)
    rows = max(math.ceil(len(results) / columns), 1)
    used = _LEFT + columns * _PANEL + (columns - 1) * _ACROSS
    width = max(used + _RIGHT, _NARROWEST)
    height = _HEAD + rows * _PANEL + (rows - 1) * _DOWN + _FOOT
    with drawing():
        figure = new_figure(evaluation, name, width, height)
        for place, result in enumerate(results):
            row, column = divmod(place, columns)
            left, bottom = _LEFT + column * (_PANEL + _ACROSS), _FOOT + (rows - 1 - row) * (_PANEL + _DOWN)
            draw(figure.add_axes((left / width, bottom / height, _PANEL / width, _PANEL / height)), result)
        middle = ((_LEFT + used) / 2 / width, (_FOOT + height - _HEAD) / 2 / height)
        figure.text(middle[0], 0.08 / height, x, ha="center", va="bottom")
        figure.text(0.1 / width, middle[1], y, ha="left", va="center", rotation="vertical")
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


def frame(axes: Axes, result: LabelResult, heading: str, *, defined: bool, limit: float = 1.0) -> None:
    """Title and scale of a panel, and ``n/a`` where there is nothing to draw.

    Args:
        axes: The panel.
        result: Its finding.
        heading: Second line of the title.
        defined: Whether there is anything to draw.
        limit: Highest number on both axes.
    """
    axes.set_title(f"{shortened(result.label, 27)}\n{heading}", fontsize=8, loc="left", pad=4)
    ends, ticks = (-0.02 * limit, 1.02 * limit), (0, limit / 2, limit)
    names = [f"{tick:g}" for tick in ticks]
    axes.set(xlim=ends, ylim=ends)
    axes.set_xticks(ticks, names)
    axes.set_yticks(ticks, names)
    axes.tick_params(length=2.5, pad=2, labelsize=7.5)
    if not defined:
        place = axes.transAxes
        axes.text(0.5, 0.5, "n/a", transform=place, color=MUTED, ha="center", va="center", fontsize=11)
